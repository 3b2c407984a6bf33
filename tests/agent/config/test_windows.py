from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byoi_agent.config.windows import HORIZON_SECONDS, WEEKDAYS, edges, holds

ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "UTC")


@dataclass(frozen=True)
class Hours:
    since: time
    until: time
    days: tuple[str, ...] = WEEKDAYS


def hours(since, until, *days):
    return Hours(time.fromisoformat(since), time.fromisoformat(until), days or WEEKDAYS)


def clock(zone):
    found = ZoneInfo(zone)
    return lambda unix_seconds: datetime.fromtimestamp(unix_seconds, found)


def moment(text):
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize(
    ("shown", "is_open"),
    [
        ("2026-11-20T21:59:59", False),  # a Friday
        ("2026-11-20T22:00", True),
        ("2026-11-21T05:59:59", True),  # what began on Friday goes on
        ("2026-11-21T06:00", False),
        ("2026-11-21T22:00", False),  # Saturday begins none
        ("2026-11-22T05:00", False),
    ],
)
def test_a_window_over_midnight_belongs_to_the_day_on_which_it_begins(shown, is_open):
    night = hours("22:00", "06:00", "mon", "tue", "wed", "thu", "fri")
    assert holds(night, datetime.fromisoformat(shown)) is is_open


def test_from_a_time_to_the_same_time_is_a_whole_day():
    sunday = hours("08:00", "08:00", "sun")
    shown = ("2026-11-22T07:59", "2026-11-22T08:00", "2026-11-23T07:59", "2026-11-23T08:00")
    found = [holds(sunday, datetime.fromisoformat(one)) for one in shown]
    assert found == [False, True, True, False]


def test_within_a_day_the_end_is_not_included():
    noon = hours("12:00", "13:00", "fri")
    shown = ("2026-11-20T11:59", "2026-11-20T12:00", "2026-11-20T13:00", "2026-11-21T12:00")
    found = [holds(noon, datetime.fromisoformat(one)) for one in shown]
    assert found == [False, True, False, False]


def test_without_windows_there_is_nothing_to_wait_for():
    assert list(edges((), 0.0, clock("UTC"))) == []


def test_edges_are_told_for_fifteen_days_and_never_the_moment_itself():
    begin = moment("2026-11-20T12:00+00:00")
    found = list(edges((hours("12:00", "13:00"),), begin, clock("UTC")))
    assert found[:2] == [begin + 3600, begin + 86_400]
    assert found[-1] == begin + HORIZON_SECONDS
    assert len(found) == 30


def test_a_part_of_a_second_is_passed_over():
    odd = Hours(time(12, 0, 0, 500_000), time(13, 0))
    begin = moment("2026-11-20T11:59:59.25+00:00")
    first = next(edges((odd,), begin, clock("UTC")))
    assert first == moment("2026-11-20T12:00:01+00:00")
    assert holds(odd, clock("UTC")(first))


@pytest.mark.parametrize(
    ("zone", "before", "clock_is_set"),
    [
        ("Europe/Berlin", "2026-03-29T01:30+01:00", "2026-03-29T03:00+02:00"),
        ("Europe/Berlin", "2026-10-25T01:30+02:00", "2026-10-25T02:00+01:00"),
        ("Australia/Lord_Howe", "2026-10-04T01:00+10:30", "2026-10-04T02:30+11:00"),
        ("Australia/Lord_Howe", "2026-04-05T01:00+11:00", "2026-04-05T01:30+10:30"),
    ],
)
def test_the_moment_at_which_the_clock_is_set_is_an_edge(zone, before, clock_is_set):
    far = hours("12:00", "13:00")
    assert next(edges((far,), moment(before), clock(zone))) == moment(clock_is_set)


@st.composite
def weeks(draw):
    minutes = st.integers(0, 95).map(lambda n: time(n // 4, n % 4 * 15))
    days = st.sets(st.sampled_from(WEEKDAYS), min_size=1).map(tuple)
    return draw(st.lists(st.builds(Hours, minutes, minutes, days), min_size=1, max_size=3))


SWITCHES = {
    "Europe/Berlin": ("2026-03-29T01:00+00:00", "2026-10-25T01:00+00:00"),
    "America/New_York": ("2026-03-08T07:00+00:00", "2026-11-01T06:00+00:00"),
    "Australia/Lord_Howe": ("2026-10-03T15:30+00:00", "2026-04-04T15:00+00:00"),
    "America/Santiago": ("2026-09-06T04:00+00:00", "2026-04-05T03:00+00:00"),  # at midnight
    "UTC": ("2026-01-01T00:00+00:00", "2026-06-01T00:00+00:00"),
}


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(ZONES), st.sampled_from((0, 1)), st.integers(-1500, 300), weeks()
)  # minutes around the switch
def test_nothing_changes_between_edges_by_a_count_of_every_minute(zone, switch, minutes, week):
    begin = moment(SWITCHES[zone][switch]) + 60 * minutes
    local = clock(zone)
    told = [at for at in edges(week, begin, local) if at <= begin + 86_400]

    def state(at):
        return [holds(window, local(at)) for window in week]

    counted = [
        at
        for at in (begin + 60 * n for n in range(1, 24 * 60 + 1))
        if state(at) != state(at - 60)
    ]  # fmt: skip
    assert set(counted) <= set(told)
    assert told == sorted(set(told))
