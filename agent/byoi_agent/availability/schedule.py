"""Follows the owner's schedule: reads its forecasts, and tells the watcher what holds now."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from byoi_agent.availability.calendar import CalendarState, look
from byoi_agent.availability.feed import FeedUnread, fetch, shown, stamp_of
from byoi_agent.availability.forecast import LATEST, judge
from byoi_agent.clock import owners_clock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime
    from pathlib import Path

    from byoi_agent.availability.feed import FileStamp
    from byoi_agent.availability.forecast import Forecast, Kind, Verdict
    from byoi_agent.clock import Clock
    from byoi_agent.config.availability import Feed, Schedule
    from byoi_agent.telemetry.health import Health

LOOK_SECONDS: Final = 5.0
"""How often a forecast's file is looked at, whether it has changed."""

CLOCK_SECONDS: Final = 30.0
"""How often the clock is looked at: somebody may set it, or the machine slept."""

RETRY_SECONDS: Final = 60.0
"""After a first failure; each further one doubles it, up to the owner's own interval."""

KINDS: Final[tuple[Kind, ...]] = ("carbon", "price")
_UNIT: Final[dict[Kind, str]] = {"carbon": "of the grid's carbon", "price": "of prices"}


@dataclass(frozen=True)
class ScheduleView:
    """What the schedule is, and what it says now."""

    schedule: Schedule
    state: CalendarState
    verdicts: tuple[Verdict, ...] = ()


@dataclass(frozen=True)
class _Known:
    """Of one feed: the last good forecast, and when it is read next (monotonic seconds)."""

    source: str
    forecast: Forecast | None = None
    stamp: FileStamp | None = None
    due_at: float = 0.0
    failures: int = 0


class ScheduleWatch:
    """Sole owner of the forecasts and of what the schedule says now.

    A forecast that cannot be read anew holds until it is outdated; from then on the owner's
    `unknown` decides. `tell` is called at each change, and at the first look.
    """

    def __init__(
        self,
        schedule: Schedule,
        *,
        tell: Callable[[CalendarState], None],
        health: Health,
        clock: Clock,
        ca_file: Path | None = None,
        local: Callable[[float], datetime] = owners_clock,
        fetch: Callable[[str, Path | None], Awaitable[Forecast]] = fetch,
    ) -> None:
        self._schedule = schedule
        self._tell = tell
        self._health = health
        self._clock = clock
        self._ca_file = ca_file
        self._local = local
        self._fetch = fetch
        self._known: dict[Kind, _Known] = {}
        self._told: CalendarState | None = None

    @property
    def view(self) -> ScheduleView:
        """What holds now."""
        verdicts = self._verdicts()
        return ScheduleView(self._schedule, self._state(verdicts), verdicts)

    def take(self, schedule: Schedule) -> None:
        """This schedule holds from now on; of a source that stays, so does the forecast."""
        self._schedule = schedule
        for kind, known in list(self._known.items()):
            feed = self._feed(kind)
            if feed is None or feed.source != known.source:
                del self._known[kind]
                self._health.clear(_warning(kind))
        self.look()

    def look(self) -> None:
        """Tell what holds now, where it is news."""
        state = self._state(self._verdicts())
        if state != self._told:
            self._told = state
            self._tell(state)

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow_clock(), name="schedule")
            for kind in KINDS:
                tasks.create_task(self._follow(kind), name=f"forecast of {kind}")

    async def _follow_clock(self) -> None:
        while True:
            self.look()
            left = CLOCK_SECONDS
            if self._told is not None and self._told.changes_at is not None:
                left = min(left, max(0.05, self._told.changes_at - self._clock.wall()))
            await self._clock.sleep_until(self._clock.monotonic() + left)

    async def _follow(self, kind: Kind) -> None:
        while True:
            feed = self._feed(kind)
            if feed is not None and self._is_due(kind, feed):
                await self._read(kind, feed)
                self.look()
            await self._clock.sleep_until(self._clock.monotonic() + LOOK_SECONDS)

    def _is_due(self, kind: Kind, feed: Feed) -> bool:
        known = self._known.get(kind)
        if known is None or self._clock.monotonic() >= known.due_at:
            return True
        return stamp_of(feed.source) != known.stamp

    async def _read(self, kind: Kind, feed: Feed) -> None:
        known = self._known.get(kind) or _Known(feed.source)
        stamp = stamp_of(feed.source)
        seconds = feed.refresh_minutes * 60
        try:
            forecast = await self._fetch(feed.source, self._ca_file)
        except FeedUnread as unread:
            wait = min(seconds, RETRY_SECONDS * 2**known.failures)
            known = replace(known, stamp=stamp, failures=min(known.failures + 1, 10))
            self._keep(kind, feed, replace(known, due_at=self._clock.monotonic() + wait))
            self._complain(kind, feed, f"cannot be read: {unread}", known.forecast)
            return
        known = _Known(feed.source, forecast, stamp, self._clock.monotonic() + seconds)
        self._keep(kind, feed, known)
        if forecast.value_at(self._clock.wall()) is None:
            self._complain(kind, feed, "was read and has no number for now", None)
        elif self._feed(kind) is feed:
            self._health.clear(_warning(kind))

    def _keep(self, kind: Kind, feed: Feed, known: _Known) -> None:
        if (now := self._feed(kind)) is not None and now.source == feed.source:
            self._known[kind] = known

    def _complain(self, kind: Kind, feed: Feed, what: str, held: Forecast | None) -> None:
        if self._feed(kind) is not feed:
            return  # the owner has changed it meanwhile
        until = "" if held is None else f"; the last one holds {self._held(held)}"
        self._health.warn(
            _warning(kind),
            f"the forecast {_UNIT[kind]} at {shown(feed.source)} {what}{until}",
            f"mend it, or change [schedule.{kind}] in the settings, then: byoi reload",
        )

    def _held(self, forecast: Forecast) -> str:
        if forecast.until >= LATEST:
            return "meanwhile"
        return f"until {self._local(forecast.until):%a %H:%M}"

    def _feed(self, kind: Kind) -> Feed | None:
        return self._schedule.carbon if kind == "carbon" else self._schedule.price

    def _verdicts(self) -> tuple[Verdict, ...]:
        now = self._clock.wall()
        return tuple(
            judge(kind, feed, known.forecast if known else None, now, self._local)
            for kind in KINDS
            if (feed := self._feed(kind)) is not None
            for known in (self._known.get(kind),)
        )

    def _state(self, verdicts: tuple[Verdict, ...]) -> CalendarState:
        windows, quiet = self._schedule.windows, self._schedule.quiet
        return look(windows, quiet, verdicts, self._clock.wall(), self._local)


def _warning(kind: Kind) -> str:
    return f"forecast-{kind}"
