"""Whether the node can see what it makes way for: people at the machine, battery, network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from byoi_agent.doctor.finding import ok, skipped, warned

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from byoi_agent.doctor.finding import Finding
    from byoi_agent.doctor.patient import Patient, Watch

_MEND: Final = (
    "start the helper in each person's session (byoi session), or serve always: byoi mode dedicated"
)


async def check(patient: Patient) -> list[Finding]:
    """Of a running node in a mode that heeds people; of others there is nothing to say."""
    watch = None if patient.node is None else patient.node.watch
    return [] if watch is None else [_people(watch), *_surroundings(watch)]


def _people(watch: Watch) -> Finding:
    name, title = "presence", "People"
    without = _told(watch.unseen_people)
    if not watch.tellers:
        text = f"nobody at this machine can be seen: {without or 'there is no sensor for it'}"
        return warned(name, title, text, _MEND)
    text = f"who is at the machine is told by {', '.join(watch.tellers)}"
    return ok(name, title, f"{text}; not by {without}" if without else text)


def _surroundings(watch: Watch) -> Iterator[Finding]:
    if without := _told(watch.unseen_surroundings):
        yield skipped("surroundings", "Surroundings", f"not to be asked here: {without}")


def _told(unseen: Mapping[str, str]) -> str:
    return "; ".join(f"{name} ({why})" for name, why in sorted(unseen.items()))
