from __future__ import annotations

import time
from datetime import datetime

import click
import pytest

from byoi_agent.cli.durations import ClockTime, Duration, moment, seconds_until


@pytest.fixture
def berlin(monkeypatch):
    """A clock that is put forward and back."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90m", 5400),
        ("2h", 7200),
        ("1h30m", 5400),
        ("1h 30min", 5400),
        ("45s", 45),
        ("2d", 172_800),
        ("1.5h", 5400),
        (" 2H ", 7200),
        (60.0, 60),
    ],
)
def test_a_length_of_time_is_understood(text, seconds):
    assert Duration()(text) == seconds


@pytest.mark.parametrize("text", ["", "2", "h", "2x", "two hours", "-2h", "2h and", "nan"])
def test_what_is_none_is_told_with_examples(text):
    with pytest.raises(click.BadParameter, match="type for example 90m"):
        Duration()(text)


@pytest.mark.parametrize("text", ["0s", "367d"])
def test_a_length_beyond_all_bounds_is_refused(text):
    with pytest.raises(click.BadParameter, match="between a second and 366 days"):
        Duration()(text)


@pytest.mark.parametrize(("text", "time_of_day"), [("18:30", (18, 30)), ("7:05", (7, 5))])
def test_a_time_of_day_is_understood(text, time_of_day):
    assert ClockTime()(text) == time_of_day


@pytest.mark.parametrize("text", ["24:00", "18", "18:60", "half past six", "18:30:00"])
def test_what_is_no_time_of_day_is_told_with_an_example(text):
    with pytest.raises(click.BadParameter, match=r"type for example 18:30"):
        ClockTime()(text)


@pytest.mark.parametrize(
    ("now", "clock_time", "hours"),
    [
        ("2026-06-01T16:00", (18, 30), 2.5),
        ("2026-06-01T18:30", (18, 30), 24),
        ("2026-06-01T20:00", (8, 0), 12),
        ("2026-03-28T20:00", (8, 0), 11),  # the clock is put forward that night
        ("2026-10-24T20:00", (8, 0), 13),  # and back that one
    ],
)
def test_until_then_is_what_really_passes(berlin, now, clock_time, hours):
    assert seconds_until(clock_time, datetime.fromisoformat(now).astimezone()) == hours * 3600


def test_a_moment_of_another_day_has_its_day(berlin):
    now = datetime.fromisoformat("2026-06-01T16:00+02:00").timestamp()
    assert moment(now + 3600, now) == "17:00"
    assert moment(now + 86_400, now) == "Tue 02 Jun 16:00"
