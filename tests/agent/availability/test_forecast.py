from __future__ import annotations

from datetime import UTC, datetime

import pytest

from byoi_agent.availability.forecast import LATEST, Forecast, Slot, judge
from byoi_agent.config.availability import Feed

HOUR = 3600.0
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp()


def local(unix_seconds):
    return datetime.fromtimestamp(unix_seconds, UTC)


def feed(at_most=250.0, unknown="serve"):
    return Feed(source="/feed.json", at_most=at_most, unknown=unknown)


def hours(*values, since=NOON):
    slots = (Slot(since + n * HOUR, since + (n + 1) * HOUR, v) for n, v in enumerate(values))
    return Forecast(tuple(slots))


def test_a_number_within_the_limit_serves_until_it_is_above():
    found = judge("carbon", feed(), hours(180, 250, 251, 100), NOON + 60, local)
    assert (found.serves, found.value, found.changes_at) == (True, 180, NOON + 2 * HOUR)
    assert found.reason == "the grid emits 180 g/kWh now, within your 250"


def test_a_number_above_the_limit_names_the_next_good_hour():
    found = judge("carbon", feed(), hours(420, 300, 90), NOON, local)
    assert (found.serves, found.changes_at) == (False, NOON + 2 * HOUR)
    told = "the grid emits 420 g/kWh now, above your 250; next good hour 14:00"
    assert found.reason == told


def test_a_good_hour_of_another_day_is_told_with_its_day():
    found = judge("carbon", feed(), hours(*[420] * 14, 90), NOON, local)
    assert found.reason.endswith("; next good hour Sat 02:00")


def test_a_good_hour_beyond_a_week_is_told_with_its_date():
    found = judge("carbon", feed(), hours(*[420] * 24 * 7, 90), NOON, local)
    assert found.reason.endswith("; next good hour 2026-11-27 12:00")


def test_the_end_of_a_number_that_holds_for_ever_changes_nothing():
    ever = Forecast((Slot(0, NOON, 90), Slot(NOON, LATEST, 420)))
    assert judge("carbon", feed(), ever, NOON - 1, local).changes_at == NOON
    found = judge("carbon", feed(), ever, NOON, local)
    assert (found.serves, found.changes_at) == (False, None)
    assert found.reason.endswith("; no better hour is forecast yet")


def test_a_price_is_told_as_the_owner_wrote_it():
    found = judge("price", feed(at_most=0.2, unknown="wait"), hours(0.3125), NOON, local)
    told = "a kWh costs 0.3125 now, above your 0.2; no better hour is forecast yet"
    assert (found.reason, found.changes_at) == (told, None)


def test_behind_the_forecasts_end_the_owners_choice_holds():
    dear = hours(0.5)
    assert judge("price", feed(0.2), dear, NOON, local).changes_at == NOON + HOUR
    assert dear.until == NOON + HOUR
    served = judge("price", feed(0.2), dear, NOON + HOUR, local)
    assert (served.serves, served.value, served.changes_at) == (True, None, None)
    told = "no forecast says what a kWh costs now; your setting is to serve then"
    assert served.reason == told


@pytest.mark.parametrize("nothing", [None, Forecast(())])
def test_without_any_forecast_the_owners_choice_holds(nothing):
    found = judge("carbon", feed(unknown="wait"), nothing, NOON, local)
    assert not found.serves
    assert found.reason == (
        "no forecast says what the grid emits now; your setting is to wait then"
        "; no better hour is forecast yet"
    )
    assert Forecast(()).until == 0.0


def test_what_is_unknown_between_two_slots_is_unknown():
    gap = Forecast((Slot(NOON, NOON + HOUR, 100), Slot(NOON + 2 * HOUR, NOON + 3 * HOUR, 100)))
    found = judge("carbon", feed(unknown="wait"), gap, NOON, local)
    assert found.changes_at == NOON + HOUR
    waits = judge("carbon", feed(unknown="wait"), gap, NOON + HOUR, local)
    assert (waits.serves, waits.changes_at) == (False, NOON + 2 * HOUR)


class Counted(Slot):
    """One that tells how often it was looked at."""

    looks = 0

    def __getattribute__(self, name):
        Counted.looks += 1
        return super().__getattribute__(name)


def test_the_longest_forecast_is_looked_through_once_from_the_present_number_on():
    many = 1000
    forecast = Forecast(tuple(Counted(n * 900.0, (n + 1) * 900.0, 100.0) for n in range(many)))
    Counted.looks = 0
    assert judge("price", feed(), forecast, 1.0, local).changes_at is None
    assert Counted.looks < 10 * many
    Counted.looks = 0
    assert judge("price", feed(), forecast, many * 900.0 - 1, local).changes_at is None
    assert Counted.looks < many
