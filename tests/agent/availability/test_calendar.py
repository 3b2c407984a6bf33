from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byoi_agent.availability.calendar import CalendarState, any_holds, look, next_change
from byoi_agent.availability.forecast import Verdict
from byoi_agent.config.availability import Window
from byoi_agent.config.windows import WEEKDAYS

BERLIN = "Europe/Berlin"


def window(since, until, *days):
    return Window(since=since, until=until, days=days or WEEKDAYS)


def clock(zone):
    found = ZoneInfo(zone)
    return lambda unix_seconds: datetime.fromtimestamp(unix_seconds, found)


def moment(text):
    return datetime.fromisoformat(text).timestamp()


def now_and_next(windows, text, zone):
    at = moment(text)
    change = next_change(windows, at, clock(zone))
    shown = None if change is None else clock(zone)(change).isoformat(timespec="minutes")
    return any_holds(windows, clock(zone)(at)), shown


NIGHT = window("22:00", "06:00", "mon", "tue", "wed", "thu", "fri")


@pytest.mark.parametrize(
    ("windows", "zone", "at", "is_open", "change"),
    [
        # A week without a switch.
        ((NIGHT,), BERLIN, "2026-11-20T12:00+01:00", False, "2026-11-20T22:00+01:00"),
        ((NIGHT,), BERLIN, "2026-11-20T23:00+01:00", True, "2026-11-21T06:00+01:00"),
        ((NIGHT,), BERLIN, "2026-11-21T06:00+01:00", False, "2026-11-23T22:00+01:00"),
        # Two that touch are one.
        (
            (window("08:00", "12:00"), window("12:00", "14:00")),
            BERLIN,
            "2026-11-20T09:00+01:00",
            True,
            "2026-11-20T14:00+01:00",
        ),
        # Always, and never.
        ((window("00:00", "00:00"),), BERLIN, "2026-11-20T09:00+01:00", True, None),
        ((), BERLIN, "2026-11-20T09:00+01:00", False, None),
        # The hour from two does not come: a night is an hour shorter …
        ((NIGHT,), BERLIN, "2026-03-27T23:00+01:00", True, "2026-03-28T06:00+01:00"),
        (
            (window("22:00", "06:00"),),
            BERLIN,
            "2026-03-28T23:00+01:00",
            True,
            "2026-03-29T06:00+02:00",
        ),
        # … a window that begins in it begins behind it, and one within it does not come that week.
        (
            (window("02:30", "04:00"),),
            BERLIN,
            "2026-03-29T01:00+01:00",
            False,
            "2026-03-29T03:00+02:00",
        ),
        (
            (window("02:15", "02:45", "sun"),),
            BERLIN,
            "2026-03-28T12:00+01:00",
            False,
            "2026-04-05T02:15+02:00",
        ),
        # The hour from two comes twice: a window over it is an hour longer …
        (
            (window("01:00", "03:00"),),
            BERLIN,
            "2026-10-25T01:30+02:00",
            True,
            "2026-10-25T03:00+01:00",
        ),
        # … one that ends in it is open once more.
        (
            (window("01:00", "02:30"),),
            BERLIN,
            "2026-10-25T01:00+02:00",
            True,
            "2026-10-25T02:30+02:00",
        ),
        (
            (window("01:00", "02:30"),),
            BERLIN,
            "2026-10-25T02:40+02:00",
            False,
            "2026-10-25T02:00+01:00",
        ),
        # Half an hour on Lord Howe.
        (
            (window("02:10", "03:00"),),
            "Australia/Lord_Howe",
            "2026-10-04T01:30+10:30",
            False,
            "2026-10-04T02:30+11:00",
        ),
        (
            (window("01:00", "01:45"),),
            "Australia/Lord_Howe",
            "2026-04-05T01:50+11:00",
            False,
            "2026-04-05T01:30+10:30",
        ),
    ],
)
def test_it_is_told_what_holds_and_when_it_changes(windows, zone, at, is_open, change):
    assert now_and_next(windows, at, zone) == (is_open, change)


SWITCHES = {
    "Europe/Berlin": ("2026-03-29T01:00+00:00", "2026-10-25T01:00+00:00"),
    "Australia/Lord_Howe": ("2026-10-03T15:30+00:00", "2026-04-04T15:00+00:00"),
    "Africa/Casablanca": ("2026-02-15T02:00+00:00", "2026-03-22T02:00+00:00"),
    "Asia/Bangkok": ("2026-02-15T02:00+00:00", "2026-03-22T02:00+00:00"),  # none at all
}


@st.composite
def windows_of_a_week(draw):
    quarter = st.integers(0, 95).map(lambda n: f"{n // 4:02}:{n % 4 * 15:02}")
    days = st.sets(st.sampled_from(WEEKDAYS), min_size=1)
    found = st.builds(
        lambda since, until, on: window(since, until, *sorted(on, key=WEEKDAYS.index)),
        quarter,
        quarter,
        days,
    )
    return tuple(draw(st.lists(found, max_size=3)))


def counted_change(windows, begin, local, minutes):
    """By looking at every minute."""
    is_open = any_holds(windows, local(begin))
    every = (begin + 60 * n for n in range(1, minutes + 1))
    return next((at for at in every if any_holds(windows, local(at)) != is_open), None)


@settings(max_examples=50, deadline=None)
@given(
    st.sampled_from(sorted(SWITCHES)),
    st.sampled_from((0, 1)),
    st.integers(-2000, 600),
    windows_of_a_week(),
)
def test_the_next_change_is_the_one_that_a_count_of_every_minute_finds(zone, which, minutes, week):
    local = clock(zone)
    begin = moment(SWITCHES[zone][which]) + 60 * minutes
    ahead = 2 * 24 * 60
    counted = counted_change(week, begin, local, ahead)
    told = next_change(week, begin, local)
    if counted is None:
        assert told is None or told > begin + 60 * ahead
    else:
        assert told == counted


def verdict(serves, reason="the grid emits 420 g/kWh now, above your 250", changes_at=None):
    return Verdict("carbon", serves, reason, 420.0, changes_at)


def test_quiet_hours_and_windows_are_told_apart_and_the_first_change_of_either():
    at = moment("2026-11-20T20:00+01:00")
    state = look((window("18:00", "23:00"),), (window("21:00", "07:00"),), (), at, clock(BERLIN))
    assert state == CalendarState(
        is_open=True,
        is_quiet=False,
        changes_at=moment("2026-11-20T21:00+01:00"),
        opening_changes_at=moment("2026-11-20T23:00+01:00"),
        quiet_changes_at=moment("2026-11-20T21:00+01:00"),
    )
    later = look(
        (window("18:00", "23:00"),), (window("21:00", "07:00"),), (), at + 7200, clock(BERLIN)
    )
    assert (later.is_open, later.is_quiet) == (True, True)


def test_a_forecast_holds_back_within_a_window_and_names_itself():
    at = moment("2026-11-20T20:00+01:00")
    soon = at + 600
    state = look(
        (window("18:00", "23:00"),), (), (verdict(False, changes_at=soon),), at, clock(BERLIN)
    )
    assert state.is_open
    assert state.holds_back == ("the grid emits 420 g/kWh now, above your 250",)
    assert state.changes_at == soon


def test_with_a_forecast_alone_there_is_no_window_to_wait_for():
    at = moment("2026-11-20T20:00+01:00")
    assert look((), (), (verdict(True),), at, clock(BERLIN)) == CalendarState(is_open=True)


def test_where_nobody_has_said_when_it_is_never_open():
    assert look((), (), (), 0.0, clock(BERLIN)) == CalendarState()
