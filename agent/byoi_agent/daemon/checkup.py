"""The node looked at by itself: with the rights, the environment and the drivers of its account."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from byoi_agent.doctor.mending import mend
from byoi_agent.doctor.patient import Complaint, Patient, RunningNode, Watch
from byoi_agent.doctor.round import examine
from byoi_agent.lifecycle.standing import standing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from byoi_agent.config.settings import Settings
    from byoi_agent.control.answers import Answers
    from byoi_agent.doctor.finding import Report
    from byoi_agent.node.view import NodeView

_HEEDING: Final = frozenset({"idle", "scheduled"})
"""Modes in which the node makes way for people."""


@dataclass(frozen=True)
class Checkup:
    """`settings` says which hold now, `watch` how people at the machine are seen."""

    answers: Answers
    settings: Callable[[], Settings]
    config_file: Path | None
    watch: Callable[[], Watch] = Watch

    async def report(self) -> Report:
        """One look at everything; it takes seconds where the console is far."""
        return await examine(self._patient())

    async def mend(self) -> Report:
        """A look, what loses nothing mended, and another look."""
        return await mend(self._patient(), is_the_node=True)

    def _patient(self) -> Patient:
        answers = self.answers
        return Patient(
            settings=self.settings(),
            paths=answers.paths,
            environment=os.environ,
            config_file=self.config_file,
            console_url=answers.console_url.rstrip("/"),
            node=running_node(answers.board.view, self.watch()),
            probe=answers.energy,
            clock=answers.clock,
        )


def running_node(view: NodeView, watch: Watch) -> RunningNode:
    """What a node says of itself."""
    engine = view.engine
    return RunningNode(
        link_state=view.link.state,
        link_reason=view.link.reason or view.link.last_error,
        engine_state=None if engine is None else engine.state,
        engine_reason=None if engine is None else engine.reason,
        is_serving=view.is_serving,
        standing=standing(view),
        complaints=tuple(
            Complaint(warning.name, warning.text, warning.mend) for warning in view.warnings
        ),
        watch=watch if view.availability.mode in _HEEDING else None,
    )
