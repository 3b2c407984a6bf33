from __future__ import annotations

from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import pytest

from byoi_agent.config.tables import Tariff, TariffWindow
from byoi_agent.usage.money import Money
from byoi_agent.usage.tariff import cost, price_at
from byoi_agent.usage.units import JOULES_PER_KWH

BERLIN = ZoneInfo("Europe/Berlin")
BANGKOK = ZoneInfo("Asia/Bangkok")
WORKDAYS = ("mon", "tue", "wed", "thu", "fri")


def window(since, until, price, days=None):
    facts = {"since": since, "until": until, "price_per_kwh": price}
    return TariffWindow(**facts, **({} if days is None else {"days": days}))


def tariff(*windows, price=0.30):
    return Tariff(currency="EUR", price_per_kwh=price, windows=windows)


def at(text, zone=BERLIN, fold=0):
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold)


def clock_of(zone):
    return lambda unix_seconds: datetime.fromtimestamp(unix_seconds, zone)


@pytest.mark.parametrize(
    ("moment", "price"),
    [
        ("2026-11-20T21:59:59", 0.30),  # a Friday
        ("2026-11-20T22:00", 0.10),
        ("2026-11-20T23:59", 0.10),
        ("2026-11-21T05:59", 0.10),  # what began on Friday goes on
        ("2026-11-21T06:00", 0.30),
        ("2026-11-21T22:00", 0.30),  # Saturday begins none
        ("2026-11-22T05:00", 0.30),
        ("2026-11-23T05:00", 0.30),  # nor did Sunday
        ("2026-11-24T05:00", 0.10),
    ],
)
def test_a_window_over_midnight_belongs_to_the_day_on_which_it_begins(moment, price):
    night = window("22:00", "06:00", 0.10, WORKDAYS)
    assert price_at(tariff(night), at(moment)) == price


def test_the_first_window_that_holds_wins():
    both = tariff(window("10:00", "12:00", 0.05), window("08:00", "20:00", 0.20))
    assert [price_at(both, at(f"2026-11-20T{hour}:00")) for hour in ("09", "10", "12", "20")] == [
        0.20,
        0.05,
        0.20,
        0.30,
    ]


def test_a_window_from_a_time_to_the_same_time_is_a_whole_day():
    sunday = tariff(window("08:00", "08:00", 0.01, ("sun",)))
    moments = ("2026-11-22T07:59", "2026-11-22T08:00", "2026-11-23T07:59", "2026-11-23T08:00")
    assert [price_at(sunday, at(moment)) for moment in moments] == [0.30, 0.01, 0.01, 0.30]


def test_energy_over_the_edge_of_a_window_is_split_by_time():
    since = at("2026-11-20T21:59:50").timestamp()
    paid = cost(tariff(window("22:00", "06:00", 0.10)), JOULES_PER_KWH, since, since + 40,
                clock_of(BERLIN))  # fmt: skip
    assert paid == Money("EUR", 150_000_000)  # a quarter at 0.30, three at 0.10


def test_energy_without_duration_is_paid_at_its_moment():
    since = at("2026-11-20T22:00").timestamp()
    prices = tariff(window("22:00", "06:00", 0.10))
    assert cost(prices, JOULES_PER_KWH, since, since, clock_of(BERLIN)).nano == 100_000_000
    assert cost(prices, 36.0, since, since, clock_of(BERLIN)).nano == 1000


@pytest.mark.parametrize(
    ("day", "cheap_hours"),
    [
        ("2026-03-28", 2),
        ("2026-03-29", 1),  # 02:00 to 03:00 does not come
        ("2026-10-24", 2),
        ("2026-10-25", 3),  # 02:00 to 03:00 comes twice
    ],
)
def test_windows_go_by_the_wall_clock_when_it_is_set(day, cheap_hours):
    prices = tariff(window("01:00", "03:00", 0.0), price=1.0)
    since = at(f"{day}T00:00").timestamp()
    hours = 6
    paid = cost(prices, hours * JOULES_PER_KWH, since, since + hours * 3600, clock_of(BERLIN))
    assert paid.nano == (hours - cheap_hours) * 1_000_000_000


@pytest.mark.parametrize(("fold", "price"), [(0, 0.0), (1, 0.0)])
def test_an_hour_that_comes_twice_is_in_its_window_both_times(fold, price):
    prices = tariff(window("02:15", "02:45", 0.0))
    assert price_at(prices, at("2026-10-25T02:30", fold=fold)) == price


def test_a_window_that_begins_in_an_hour_that_does_not_come_begins_after_it():
    prices = tariff(window("02:30", "03:30", 0.0))
    before = at("2026-03-29T01:59").timestamp()
    seen = [price_at(prices, clock_of(BERLIN)(before + 60 * step)) for step in range(3)]
    assert seen == [0.30, 0.0, 0.0]  # 01:59, 03:00, 03:01


@pytest.mark.parametrize("day", ["2026-03-29", "2026-10-25"])
def test_where_the_clock_is_never_set_a_window_has_all_its_hours(day):
    prices = tariff(window("01:00", "03:00", 0.0), price=1.0)
    since = at(f"{day}T00:00", BANGKOK).timestamp()
    paid = cost(prices, 6 * JOULES_PER_KWH, since, since + 6 * 3600, clock_of(BANGKOK))
    assert paid.nano == 4_000_000_000


def test_the_settings_time_of_day_is_what_a_window_holds():
    assert window("22:00", "06:00", 0.1).since == time(22)
    assert price_at(tariff(), datetime(2026, 1, 1, tzinfo=UTC)) == 0.30
