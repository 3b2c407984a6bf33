from __future__ import annotations

import time
from datetime import datetime

import pytest

from byoi_agent.control.dashboard import words


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, words.UNKNOWN),
        (512, "512 B"),
        (1 << 20, "1.0 MiB"),
        (24 << 30, "24.0 GiB"),
        (1 << 41, "2.0 TiB"),
    ],
)
def test_sizes(value, text):
    assert words.size(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(None, words.UNKNOWN), (0.41, "410 ms"), (1.62, "1.6 s"), (200.0, "3 min")]
)
def test_how_long_it_took(value, text):
    assert words.seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(-3, "0 s"), (59, "59 s"), (3599, "59 min"), (7260, "2 h 1 min"), (90_000, "1 d 1 h")],
)
def test_spans(value, text):
    assert words.span(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, words.UNKNOWN),
        ({}, "0"),
        ({"EUR": 2.318}, "2.32 EUR"),
        ({"EUR": 0.0123, "USD": 1e-9}, "0.0123 EUR, 0.00 USD"),
    ],
)
def test_money(value, text):
    assert words.money(value) == text


@pytest.mark.parametrize(
    ("joules", "text"), [(None, words.UNKNOWN), (3600.0, "1.0 Wh"), (3_600_000.0, "1.00 kWh")]
)
def test_energy(joules, text):
    assert words.energy(joules) == text


def test_a_share_stays_within_the_bar_and_may_be_unknown():
    assert words.percent(1, 4) == 25.0
    assert words.percent(9, 4) == 100.0
    assert words.percent(None, 4) is None
    assert words.percent(1, 0) is None


def test_figures_have_their_thousands_apart():
    assert (words.number(None), words.number(1234567)) == (words.UNKNOWN, "1,234,567")


@pytest.fixture
def in_berlin(monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("evening", "hours"),
    [((2026, 11, 21, 22), 8), ((2026, 3, 28, 22), 7), ((2026, 10, 24, 22), 9)],
)
def test_tomorrow_is_six_by_the_wall_s_clock_also_where_that_is_set(in_berlin, evening, hours):
    now = datetime(*evening).timestamp()  # noqa: DTZ001 the wall's hands
    assert words.until_tomorrow(now) == hours * 3600


def test_moments_are_the_machine_s_own(in_berlin):
    assert words.clock_time(1_795_000_000.0).startswith("2026-11-18 ")
    assert words.iso(1_795_000_000.0).endswith("+00:00")
