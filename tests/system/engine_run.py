"""The real llama.cpp under its supervisor, without a node around it."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from pathlib import Path

import platformdirs

from byoi_agent.clock import SystemClock
from byoi_agent.config.paths import Paths
from byoi_agent.config.settings import Settings
from byoi_agent.engine.kinds.choice import engine_kind
from byoi_agent.engine.supervisor import EngineSupervisor

STATE_SECONDS = 120.0


def paths_in(state: Path, runtime: Path) -> Paths:
    """Folders of a node that has the user's own engines and models."""
    cache = os.environ.get("BYOI_CACHE_DIR") or platformdirs.user_cache_path(
        "byoi", appauthor=False
    )
    return Paths(state, Path(cache), runtime)


class EngineRun:
    """An engine that a test starts and stops; `views` is all that was published."""

    def __init__(self, paths: Paths, **settings: object) -> None:
        self.views = []
        self._news = asyncio.Event()
        self.kind = engine_kind(Settings(engine="llamacpp", **settings), paths)
        self.supervisor = EngineSupervisor(
            self.kind,
            publish=self._published,
            clock=SystemClock(),
            records=paths.engine_runs_folder,
        )

    async def becomes(self, state: str):
        """The view, once it is in that state."""
        async with asyncio.timeout(STATE_SECONDS):
            while self.supervisor.view.state != state:
                assert self.supervisor.view.state != "failed", self.supervisor.view.reason
                self._news.clear()
                await self._news.wait()
        return self.supervisor.view

    def _published(self, view) -> None:
        self.views.append(view)
        self._news.set()


@asynccontextmanager
async def running(paths: Paths, **settings: object):
    """The engine, ready; gone when the test is done with it."""
    run = EngineRun(paths, **settings)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(run.supervisor.run())
        try:
            await run.becomes("ready")
            yield run
        finally:
            task.cancel()
            await asyncio.wait({task})
