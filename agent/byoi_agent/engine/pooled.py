"""One place of the pool: which engine serves there, and how another takes it without a cut."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from byoi_agent.config.tables import AdapterSetting
    from byoi_agent.engine.client import EngineClient
    from byoi_agent.engine.entries import Entry
    from byoi_agent.engine.kinds.base import EngineKind
    from byoi_agent.engine.residency.resident import How
    from byoi_agent.engine.supervisor import EngineSupervisor
    from byoi_agent.engine.view import EngineView

logger = logging.getLogger(__name__)


class Supervise(Protocol):
    """How to make a supervisor for an engine; where it `starts`, it does so when it is run."""

    def __call__(  # noqa: D102
        self, entry: Entry, publish: Callable[[EngineView], None], *, starts: bool
    ) -> EngineSupervisor: ...


class PooledEngine:
    """Sole owner of the choice between engines at one place; each one's life is its supervisor's.

    `key` names the place and stays, whatever engine comes there.

    The old engine takes nothing new, ends what it has (`idle` waits for that), and is gone before
    the new one starts: two of them would not fit into one accelerator's memory.
    """

    def __init__(
        self,
        entry: Entry,
        *,
        supervise: Supervise,
        publish: Callable[[EngineView], None],
        idle: Callable[[], Awaitable[None]],
    ) -> None:
        self.key = entry.key
        self._supervise = supervise
        self._publish = publish
        self._idle = idle
        self._entry = entry
        self._next: Entry | None = None
        self._starts = entry.is_standing
        self._is_wanted = asyncio.Event()
        self._is_away = False
        self._now = supervise(entry, self._changed, starts=self._starts)

    @property
    def view(self) -> EngineView:
        """The engine now; one that gives way is draining."""
        view = replace(self._now.view, key=self.key, priority=self._entry.priority)
        if self._next is None:
            return view
        return replace(view, state="draining", reason="it gives way once its requests have ended")

    @property
    def client(self) -> EngineClient:
        """Where requests go while the view says ready."""
        return self._now.client

    @property
    def kind(self) -> EngineKind:
        """What kind of engine it is now."""
        return self._now.kind

    @property
    def entry(self) -> Entry:
        """What its owner wants here, now or as soon as the engine before it is gone."""
        return self._next or self._entry

    @property
    def supervisor(self) -> EngineSupervisor:
        """The present engine's own."""
        return self._now

    def adapt(self, adapters: tuple[AdapterSetting, ...]) -> bool:
        """Have it serve other adapters without a start; False where that cannot be."""
        return self._next is None and self._now.adapt(adapters)

    def suspect(self, reason: str) -> None:
        """A request saw it fail."""
        self._now.suspect(reason)

    def sleep(self, within_seconds: float) -> None:
        """Have the present one give its memory back; requests under way get so long.

        One that is to take its place does not start by itself then.
        """
        self._starts = False
        self._now.sleep(within_seconds)

    def wake(self) -> None:
        """Have it serve again, or the one that is to take its place."""
        self._starts = True
        if self._next is None:
            self._now.start()

    def release(self, within_seconds: float, by: float | None, *, is_last: bool = False) -> None:
        """As `sleep` or, where it `is_last`, for good: its memory is its owner's `by` then.

        Nothing is started here, whoever takes the place, until `come_back`.
        """
        self._is_away = True
        if by is not None:
            self._now.release(within_seconds, by, is_last=is_last)
        elif is_last:
            self._now.stop(within_seconds)
        else:
            self._now.sleep(within_seconds)

    def come_back(self, *, starts: bool) -> None:
        """Its owner is away again; where it `starts`, it serves as before."""
        self._is_away = False
        if starts:
            self.wake()

    def load(self, entry: Entry) -> None:
        """Have this engine serve, in place of another one if need be."""
        if entry.edition != self.entry.edition:
            self._change_to(entry, starts=True)
        elif self._next is not None:
            self._starts = True
        else:
            self._now.start()

    def unload(self, how: How, within_seconds: float) -> None:
        """Have it give its memory back; requests under way get so long."""
        if self._next is not None:
            self._starts = False
        elif how == "sleep":
            self._now.sleep(within_seconds)
        else:
            self._now.stop(within_seconds)

    def keep(self, entry: Entry) -> None:
        """The same engine, of which its owner thinks otherwise now."""
        if self._next is not None:
            self._next = entry
        else:
            self._entry = entry
            if entry.adapters:  # one that was broken may have been mended
                self._now.adapt(entry.adapters)

    def change_to(self, entry: Entry, *, starts: bool = True) -> None:
        """Have this one as soon as the old one's requests have ended; the last call wins.

        Where it `starts`, it serves then, else when it is woken.
        """
        self._change_to(entry, starts=starts)
        self._publish(self.view)

    async def run(self) -> None:
        """Until cancelled; nothing of any engine runs when this returns."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                running = tasks.create_task(self._now.run(), name="engine supervisor")
                await self._is_wanted.wait()
                await self._idle()
                running.cancel()
                await asyncio.wait({running})
                self._succeed()

    def _change_to(self, entry: Entry, *, starts: bool) -> None:
        logger.info("engine changes", extra={"engine": entry.kind.name})
        self._next, self._starts = entry, starts
        self._is_wanted.set()

    def _succeed(self) -> None:
        entry, self._next = self._next, None
        assert entry is not None, "asked to give way to nobody"
        self._is_wanted.clear()
        self._entry = entry
        starts = self._starts and not self._is_away
        self._now = self._supervise(entry, self._changed, starts=starts)
        self._publish(self.view)

    def _changed(self, _view: EngineView) -> None:
        self._publish(self.view)
