"""One engine for all nodes of a demo, owned by the demo's own process; the nodes attach to it."""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING, Final

from byoi_agent.clock import SystemClock
from byoi_agent.config.paths import prepare
from byoi_agent.control.schema import EnginePlace
from byoi_agent.engine.leftovers import clear_leftovers
from byoi_agent.engine.supervisor import EngineSupervisor
from byoi_agent.errors import EngineError

if TYPE_CHECKING:
    from byoi_agent.config.paths import Paths
    from byoi_agent.demo.talk import Talk
    from byoi_agent.engine.kinds.base import EngineKind
    from byoi_agent.engine.view import EngineView

_HOPELESS: Final = frozenset({"failed"})


class SharedEngine:
    """Sole owner of that engine's life."""

    def __init__(self, kind: EngineKind, paths: Paths, talk: Talk) -> None:
        self._talk = talk
        self._paths = paths
        self._view: EngineView | None = None
        self._is_news = asyncio.Event()
        self._told: str | None = None
        self._supervisor = EngineSupervisor(
            kind,
            publish=self._changed,
            clock=SystemClock(),
            records=paths.engine_runs_folder,
            report=talk.progress,
        )

    async def run(self) -> None:
        """Until cancelled; nothing of the engine runs when this returns."""
        prepare(self._paths)
        await clear_leftovers(self._paths.engine_runs_folder)
        try:
            await self._supervisor.run()
        finally:
            # The folder of sockets lies outside of the demo's own, as their paths must be short.
            shutil.rmtree(self._paths.runtime, ignore_errors=True)

    async def until_ready(self) -> None:
        """Until it serves.

        Raises:
            EngineError: only its owner can mend what keeps it from serving.
        """
        while self._view is None or self._view.state != "ready":
            if self._view is not None and self._view.state in _HOPELESS:
                raise EngineError(f"the engine cannot be used: {self._view.reason}")
            self._is_news.clear()
            await self._is_news.wait()  # an engine that starts has its own time-out

    @property
    def url(self) -> str:
        """What nodes are to attach."""
        return self._supervisor.kind.address.url

    @property
    def place(self) -> EnginePlace:
        """Where it is, for programs that will test what its death does."""
        view = self._supervisor.view
        return EnginePlace(kind=view.kind, pid=view.pid, url=view.url)

    def _changed(self, view: EngineView) -> None:
        self._view = view
        self._is_news.set()
        if view.reason is not None and view.reason != self._told:
            self._talk.say(f"  the engine waits: {view.reason}")
            self._told = view.reason
