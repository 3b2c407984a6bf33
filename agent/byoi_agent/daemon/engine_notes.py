"""What the owner should know of the engines: warnings that come and go with them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from byoi_agent.engine.kinds.attached import ATTACHED
from byoi_agent.engine.kinds.choice import with_own_code
from byoi_agent.hardware.listening import processes_at
from byoi_agent.node.advertise import unoffered

if TYPE_CHECKING:
    from collections.abc import Iterable

    from byoi_agent.engine.entries import Entry
    from byoi_agent.node.board import Board
    from byoi_agent.telemetry.health import Health


def tell_of_engines(health: Health, board: Board, entries: Iterable[Entry]) -> None:
    """Warn of models left out, of adapters not served, and of models that run code of their own."""
    _tell_of_offer(health, board)
    faults = board.view.engine.faults if board.view.engine is not None else ()
    if faults:
        health.warn("adapters-not-served", "; ".join(faults), "mend it, then: byoi reload")
    else:
        health.clear("adapters-not-served")
    _tell_of_code(health, entries)


def tell_of_memory(health: Health, board: Board, entries: Iterable[Entry]) -> None:
    """A server of the owner's on this machine that keeps its memory while he wants it back."""
    views = {view.key: view for view in board.view.engines}
    keepers = [
        entry.kind.address.url
        for entry in entries
        if entry.kind.name == ATTACHED
        and entry.kind.address.is_local
        and not entry.kind.can_sleep
        and entry.key in views
        and views[entry.key].state == "ready"
    ]
    if keepers and board.view.availability.mode != "dedicated":
        health.warn(
            "attached-keeps-memory",
            f"the server at {', '.join(keepers)} has no way to give its memory back: while you use "
            "the machine it is asked nothing, and holds what it holds",
            "have the node run the engine itself (byoi engines --help), or take one that unloads: "
            "Ollama, LM Studio, llama-server as a router, vLLM with its sleep mode; or: "
            "byoi mode dedicated",
        )
    else:
        health.clear("attached-keeps-memory")


def our_processes(entries: Iterable[Entry]) -> frozenset[int]:
    """This one, and the attached servers on this machine: what they start is no stranger's."""
    ports = {
        entry.kind.address.port
        for entry in entries
        if entry.kind.name == ATTACHED and entry.kind.address.is_local and entry.kind.address.port
    }
    return frozenset({os.getpid()}).union(*map(processes_at, ports))


def _tell_of_offer(health: Health, board: Board) -> None:
    if count := unoffered(board.view, board.offer):
        health.warn(
            "models-left-out",
            f"{count} of the engine's models are not offered: a console takes no more",
            "name the one to serve: --model NAME",
        )
    else:
        health.clear("models-left-out")


def _tell_of_code(health: Health, entries: Iterable[Entry]) -> None:
    if models := with_own_code(entry.kind for entry in entries):
        health.warn(
            "model-runs-code",
            f"{', '.join(models)} runs code of its own on this machine, as remote_code allows: "
            "it can do whatever this node can",
            "where that is not meant: take it out of remote_code, then: byoi reload",
        )
    else:
        health.clear("model-runs-code")
