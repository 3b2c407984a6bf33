"""Runs the residency's machine: its commands go to the engines, their news come back as events."""

from __future__ import annotations

import asyncio
import logging
import statistics
from collections import defaultdict, deque
from typing import TYPE_CHECKING, Final

from byoi_agent.engine.residency import machine
from byoi_agent.engine.residency.resident import Failed, Leaving, Loaded, Loading, State, Unfit

if TYPE_CHECKING:
    from collections.abc import Callable

    from byoi_agent.clock import Clock
    from byoi_agent.engine.residency.resident import How, Resident
    from byoi_agent.engine.view import EngineView

logger = logging.getLogger(__name__)

_LOADS_KEPT: Final = 5


class Residency:
    """Sole owner of which models are loaded.

    `load` and `unload` give orders to an engine; `publish` hears that something has changed, before
    the orders that follow from it. Everything happens in the turn in which it is told.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        load: Callable[[str], None],
        unload: Callable[[str, How, float], None],
        publish: Callable[[], None],
        limits: machine.Limits,
    ) -> None:
        self._clock = clock
        self._load = load
        self._unload = unload
        self._publish = publish
        self._limits = limits
        self._state = State()
        self._events: deque[machine.Event] = deque()
        self._is_stepping = False
        self._took: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=_LOADS_KEPT))
        self._wake_at: float | None = None
        self._tasks: asyncio.TaskGroup | None = None
        self._timer: asyncio.Task[None] | None = None

    def of(self, key: str) -> Resident | None:
        """One model now; None where there is none by that key."""
        return self._state.residents.get(key)

    @property
    def keys(self) -> tuple[str, ...]:
        """All models, those included that the settings have no more and that have not ended."""
        return tuple(self._state.residents)

    def load_seconds(self, key: str) -> float | None:
        """How long its loading took in the middle of the last times; None: it was never loaded."""
        took = self._took.get(key)
        return round(statistics.median(took), 1) if took else None

    def tell(self, event: machine.Event) -> None:
        """Something happened. What comes of it may tell us more: that has its turn after this."""
        self._events.append(event)
        if self._is_stepping:
            return
        self._is_stepping = True
        try:
            while self._events:
                self._step(self._events.popleft())
        finally:
            self._is_stepping = False

    def hear(self, key: str, view: EngineView) -> None:
        """An engine has news of itself."""
        if (resident := self.of(key)) is None:
            return
        place = resident.place
        if isinstance(place, Loading) and view.state == "ready":
            self._took[key].append(self._clock.monotonic() - place.since)
            self.tell(machine.Served(key))
        elif isinstance(place, Loading | Loaded) and view.state in {"backing_off", "failed"}:
            reason = view.reason or "it ended"
            self.tell(machine.Broke(key, reason, is_final=view.state == "failed"))
        elif view.state in {"asleep", "stopped", "failed"} and not isinstance(place, Loading):
            is_asleep = view.state == "asleep" and view.pid is not None
            if isinstance(place, Leaving) or not is_asleep:
                self.tell(machine.Gone(key, is_asleep=is_asleep))

    async def run(self) -> None:
        """Until cancelled: keep the time that the machine asks for."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            try:
                self._set_timer()
                await asyncio.get_running_loop().create_future()
            finally:
                self._tasks = None

    def _step(self, event: machine.Event) -> None:
        before, now = self._state, self._clock.monotonic()
        self._state, commands = machine.step(before, event, now, self._limits)
        self._log(before)
        if self._state != before:
            self._publish()
        self._wake_at = None
        for command in commands:
            match command:
                case machine.Load(key):
                    self._load(key)
                case machine.Unload(key, how, seconds):
                    self._unload(key, how, seconds)
                case machine.WakeAt(at):
                    self._wake_at = at
        self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._wake_at is not None and self._tasks is not None:
            wake = self._wake(self._wake_at)
            self._timer = self._tasks.create_task(wake, name="residency timer")

    async def _wake(self, at: float) -> None:
        await self._clock.sleep_until(at)
        self._timer = None  # else telling would cancel the one who tells
        self.tell(machine.Woke())

    def _log(self, before: State) -> None:
        for key, one in self._state.residents.items():
            old = before.residents.get(key)
            if old is not None and type(old.place) is type(one.place):
                continue
            extra = {"model": key, "reason": getattr(one.place, "reason", None)}
            match one.place:
                case Loading():
                    logger.info("model loads", extra=extra)
                case Leaving(failure=None):
                    logger.info("model leaves the memory", extra=extra)
                case Failed() | Unfit():
                    logger.warning("model cannot be loaded", extra=extra)
