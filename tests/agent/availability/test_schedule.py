from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import pytest

from byoi_agent.availability.calendar import CalendarState
from byoi_agent.availability.feed import FeedUnread
from byoi_agent.availability.forecast import Forecast, Slot
from byoi_agent.availability.forecast_forms import read
from byoi_agent.availability.schedule import ScheduleWatch
from byoi_agent.config.availability import Feed, Schedule, Window
from byoi_agent.telemetry.health import Health

HOUR = 3600.0
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp()
URL = "https://grid.example/v1"


class Clock:
    """Stands still until a test moves it; both clocks move together."""

    def __init__(self):
        self.now = 0.0
        self._waiting = []

    def monotonic(self):
        return self.now

    def wall(self):
        return NOON + self.now

    async def sleep_until(self, at):
        if at <= self.now:
            await asyncio.sleep(0)
            return
        woken = asyncio.get_running_loop().create_future()
        self._waiting.append((at, woken))
        await woken

    async def pass_(self, seconds):
        """Let so long pass, step by step, and let everybody do what is due."""
        until = self.now + seconds
        while True:
            for _ in range(10):
                await asyncio.sleep(0)
            at = min((at for at, _ in self._waiting), default=until)
            if at > until:
                break
            self.now = max(self.now, at)
            due = [pair for pair in self._waiting if pair[0] <= self.now]
            self._waiting = [pair for pair in self._waiting if pair[0] > self.now]
            for _, woken in due:
                if not woken.done():
                    woken.set_result(None)
        self.now = until


class Grid:
    """What is asked for a forecast: answers, or fails."""

    def __init__(self, *values):
        self.values = list(values)
        self.failure = None
        self.asked = []

    async def fetch(self, source, ca_file):
        self.asked.append(source)
        if self.failure:
            raise FeedUnread(self.failure)
        slots = (Slot(NOON + n * HOUR, NOON + (n + 1) * HOUR, v) for n, v in enumerate(self.values))
        return Forecast(tuple(slots))


class Following:
    """A watch that runs, with all that it tells."""

    def __init__(self, schedule, grid, local=lambda at: datetime.fromtimestamp(at, UTC)):
        self.told = []
        self.clock = Clock()
        self.health = Health()
        self.watch = ScheduleWatch(
            schedule,
            tell=self.told.append,
            health=self.health,
            clock=self.clock,
            local=local,
            fetch=grid.fetch,
        )

    async def __aenter__(self):
        self._task = asyncio.create_task(self.watch.run())
        await self.clock.pass_(0)
        return self

    async def __aexit__(self, *_):
        self._task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await self._task

    @property
    def now(self):
        return self.told[-1]

    @property
    def warnings(self):
        return [(one.name, one.text) for one in self.health.warnings]


def feed(at_most=250.0, **more):
    return Feed(source=URL, at_most=at_most, **more)


async def test_a_window_opens_and_closes_to_the_second():
    schedule = Schedule(windows=(Window(since="12:01", until="13:00"),))
    async with Following(schedule, Grid()) as following:
        opens = NOON + 60
        assert following.told == [CalendarState(changes_at=opens, opening_changes_at=opens)]
        await following.clock.pass_(59)
        assert len(following.told) == 1
        await following.clock.pass_(1.5)
        assert following.now.is_open
        assert following.now.changes_at == NOON + HOUR


async def test_a_forecast_holds_back_and_lets_go():
    grid = Grid(420, 100)
    async with Following(Schedule(carbon=feed()), grid) as following:
        assert following.now.holds_back == (
            "the grid emits 420 g/kWh now, above your 250; next good hour 13:00",
        )
        assert following.now.changes_at == NOON + HOUR
        await following.clock.pass_(HOUR + 1)
        assert following.now.is_open
        assert following.now.holds_back == ()
        assert following.watch.view.verdicts[0].value == 100


async def test_it_is_asked_as_often_as_the_owner_said():
    grid = Grid(*[100] * 24)
    async with Following(Schedule(price=feed(refresh_minutes=10)), grid) as following:
        await following.clock.pass_(31 * 60)
        assert grid.asked == [URL] * 4


async def test_a_failure_keeps_the_last_forecast_until_it_is_outdated_and_is_told():
    grid = Grid(100, 420)
    schedule = Schedule(carbon=feed(refresh_minutes=10, unknown="wait"))
    async with Following(schedule, grid) as following:
        grid.failure = "the server answered 500"
        await following.clock.pass_(11 * 60)
        ((name, text),) = following.warnings
        assert name == "forecast-carbon"
        assert text == (
            f"the forecast of the grid's carbon at {URL} cannot be read: the server answered 500; "
            "the last one holds until Fri 14:00"
        )
        assert following.now.holds_back == ()
        await following.clock.pass_(HOUR)
        assert "420 g/kWh" in following.now.holds_back[0]
        await following.clock.pass_(HOUR)
        assert "your setting is to wait then" in following.now.holds_back[0]
        grid.failure, grid.values = None, [0, 0, 50, 50]
        await following.clock.pass_(10 * 60)
        assert following.now.holds_back == ()
        assert following.warnings == []


async def test_a_server_that_fails_is_asked_ever_less_often():
    grid = Grid()
    grid.failure = "the server answered 503"
    async with Following(Schedule(carbon=feed(refresh_minutes=15)), grid) as following:
        await following.clock.pass_(59)
        assert len(grid.asked) == 1
        await following.clock.pass_(HOUR)
        # After 1, 2, 4, 8 minutes, then each 15.
        assert len(grid.asked) == 1 + 4 + 3


async def test_a_forecast_of_another_day_is_told():
    async with Following(Schedule(price=feed(0.2)), Grid()) as following:
        ((name, text),) = following.warnings
        assert (name, text.split(" at ")[0]) == ("forecast-price", "the forecast of prices")
        assert text.endswith("was read and has no number for now")
        assert following.now.is_open


async def test_a_file_that_changes_is_read_at_once(tmp_path):
    file, grid = tmp_path / "feed.json", Grid(420)
    file.write_text("one")
    schedule = Schedule(carbon=Feed(source=str(file), at_most=250))
    async with Following(schedule, grid) as following:
        await following.clock.pass_(30)
        assert len(grid.asked) == 1
        file.write_text("another")
        grid.values = [90]
        await following.clock.pass_(6)
        assert following.now.holds_back == ()


async def test_another_schedule_holds_at_once_and_a_source_that_stays_keeps_its_forecast():
    grid = Grid(420, 100)
    async with Following(Schedule(carbon=feed()), grid) as following:
        following.watch.take(Schedule(carbon=feed(at_most=500)))
        assert following.now.holds_back == ()
        following.watch.take(
            Schedule(
                carbon=Feed(source="https://other.example", at_most=1),
                quiet=(Window(since="11:00", until="13:00"),),
            )
        )
        assert following.now.is_quiet
        assert following.watch.view.verdicts[0].value is None
        await following.clock.pass_(6)
        assert following.watch.view.verdicts[0].value == 420
        assert grid.asked[-1] == "https://other.example"


async def test_a_feed_that_the_owner_takes_away_warns_no_more():
    grid = Grid()
    grid.failure = "the server answered 503"
    async with Following(Schedule(carbon=feed()), grid) as following:
        assert following.warnings
        following.watch.take(Schedule())
        assert following.warnings == []
        assert following.now == CalendarState()


async def test_what_comes_of_a_feed_that_was_taken_away_meanwhile_is_dropped():
    came, grid = asyncio.Event(), Grid(420)
    fetch = grid.fetch

    async def slow(source, ca_file):
        await came.wait()
        return await fetch(source, ca_file)

    grid.fetch = slow
    async with Following(Schedule(carbon=feed()), grid) as following:
        following.watch.take(Schedule())
        came.set()
        await following.clock.pass_(1)
        assert following.now == CalendarState()
        assert following.warnings == []


async def test_a_number_that_holds_for_ever_ends_nothing_east_of_greenwich():
    text = '[{"from": "2026-11-20T00:00Z", "to": "9999-12-31T23:59:59Z", "value": 420}]'

    async def fetch(source, ca_file):
        if grid.failure:
            raise FeedUnread(grid.failure)
        return read(text)

    grid = Grid()
    grid.fetch = fetch
    east = lambda at: datetime.fromtimestamp(at, timezone(timedelta(hours=1)))  # noqa: E731
    async with Following(Schedule(carbon=feed()), grid, local=east) as following:
        assert following.now.holds_back[0].endswith("your 250; no better hour is forecast yet")
        assert following.now.changes_at is None
        assert following.watch.view.verdicts[0].value == 420
        grid.failure = "the server answered 500"
        await following.clock.pass_(HOUR)
        assert following.warnings[0][1].endswith("answered 500; the last one holds meanwhile")
