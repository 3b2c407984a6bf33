from __future__ import annotations

from datetime import datetime

import pytest

from byoi_agent.cli import schedule_view
from byoi_agent.cli.schedule_view import hours_in_words, now_in_words, show
from byoi_agent.config.availability import Feed, Window
from byoi_agent.config.windows import WEEKDAYS
from byoi_agent.control.schedule import ForecastStatus, ScheduleNow, ScheduleStatus

SUNDAY = datetime(2026, 11, 22, 12).astimezone().timestamp()
HIGH = ForecastStatus(
    kind="carbon",
    serves=False,
    reason="the grid emits 420 g/kWh now, above your 250; next good hour 14:00",
)


def window(since, until, *days):
    return Window(days=days or WEEKDAYS, since=since, until=until)


def status(*, forecasts=(), is_open=False, is_quiet=False, changes_at=None, **schedule):
    now = ScheduleNow(
        is_open=is_open, is_quiet=is_quiet, forecasts=forecasts, changes_at=changes_at
    )
    return ScheduleStatus(**schedule, now=now)


@pytest.mark.parametrize(
    ("hours", "words"),
    [
        (
            window("22:00", "06:00", "mon", "tue", "thu"),
            "mon-tue, thu, 22:00-06:00 of the next day",
        ),
        (window("20:00", "00:00"), "every day, 20:00-00:00"),
        (window("08:00", "08:00", "sun"), "sun, 24 h from 08:00"),
    ],
)
def test_hours_are_told_as_their_owner_would(hours, words):
    assert hours_in_words(hours) == words


@pytest.mark.parametrize(
    ("held", "words"),
    [
        (status(), "Now, sun 12:00: no window is open."),
        (
            status(windows=(window("13:00", "14:00", "mon"),)),
            "Now, sun 12:00: no window is open, until mon 13:00.",
        ),
        (
            status(is_quiet=True, quiet=(window("11:00", "13:00"),), is_open=True),
            "Now, sun 12:00: quiet hours: no mode serves, until 13:00.",
        ),
        (
            status(is_open=True, windows=(window("00:00", "00:00"),), changes_at=SUNDAY + 60),
            "Now, sun 12:00: a window is open, until 12:01.",
        ),
        (status(is_open=True, forecasts=(HIGH,)), f"Now, sun 12:00: {HIGH.reason}."),
        (status(is_open=True), "Now, sun 12:00: nothing speaks against serving."),
    ],
)
def test_what_holds_now_is_told_with_its_end(held, words):
    assert next(now_in_words(held, "scheduled", SUNDAY, is_running=True)) == words


def test_in_another_mode_the_command_is_told():
    held = status(windows=(window("13:00", "14:00"),))
    told = list(now_in_words(held, "dedicated", SUNDAY, is_running=True))
    assert told[1].endswith("the mode is dedicated: byoi mode scheduled")
    told = list(now_in_words(held, None, SUNDAY, is_running=False))
    assert told[1].endswith("another mode holds: byoi mode scheduled")
    assert told[2].startswith("No node runs here")


def test_forecasts_stand_beside_the_week_without_their_keys(capsys, monkeypatch):
    monkeypatch.setattr(schedule_view, "width_of", lambda _: 160)
    carbon = Feed(source="https://grid.example/v1?token=secret", at_most=250)
    price = Feed(source="/home/jo/prices.csv", at_most=0.2)
    held = status(carbon=carbon, price=price, forecasts=(HIGH,), is_open=True)
    show(held, "scheduled", SUNDAY, is_running=True)
    out = capsys.readouterr().out
    assert f"carbon: at most 250 g/kWh, by https://grid.example/v1?…: {HIGH.reason}" in out
    assert "price: at most 0.2, by /home/jo/prices.csv\n" in out
    assert "secret" not in out
    assert "mon  " + "█" * 48 in out
