"""The running node: its link, its engine, and what it warns of."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

from byoi_agent.config.installation import read_installation
from byoi_agent.config.ports import claim
from byoi_agent.doctor.finding import failed, ok, skipped, warned

if TYPE_CHECKING:
    from collections.abc import Iterator

    from byoi_agent.doctor.finding import Finding
    from byoi_agent.doctor.patient import Patient, RunningNode

_ONLINE: Final = "online"


async def check(patient: Patient) -> list[Finding]:
    """What it says of itself; where none runs, whether one could."""
    if patient.node is None:
        return list(_none(patient))
    return list(_of(patient.node))


def _none(patient: Patient) -> Iterator[Finding]:
    start = "byoi run" if read_installation().service is None else "sudo byoi service start"
    yield skipped("node", "Node", f"none runs here; start it: {start}")
    for name in ("control_port", "metrics_port"):
        port = getattr(patient.settings, name)
        if port and not _is_free(port):
            mend = f"end what listens there, or choose another {name}"
            yield failed("ports", "Ports", f"{name} {port} is taken", mend)


def _of(node: RunningNode) -> Iterator[Finding]:
    if node.link_state == _ONLINE:
        yield ok("link", "Link", "the console is connected")
    else:
        why = node.link_reason or "it is being dialled"
        mend = "the checks of the console above say where the way ends; the node tries on"
        yield failed("link", "Link", f"{node.link_state}: {why}", mend)
    if node.engine_state == "failed":
        mend = "byoi logs --level error tells more; mend it, then: byoi reload"
        yield failed("serving", "Serving", node.engine_reason or "the engine has failed", mend)
    else:
        tell = ok if node.is_serving else skipped  # by the owner's word, or not yet
        yield tell("serving", "Serving", node.standing or str(node.engine_state))
    for complaint in node.complaints:
        yield warned(complaint.name, "Warning", complaint.text, complaint.mend)


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        claim(listener)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
