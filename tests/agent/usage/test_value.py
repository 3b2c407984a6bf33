from __future__ import annotations

from datetime import UTC, datetime

from byoi_agent.config.tables import Tariff, TariffWindow
from byoi_agent.usage.money import Money
from byoi_agent.usage.value import Value, value_of
from byoi_wire.offers import Prices

PRICES = Prices(currency="USD", input=0.1, output=0.2)
NIGHT = TariffWindow(since="08:00", until="09:00", price_per_kwh=0.1)
TARIFF = Tariff(currency="EUR", price_per_kwh=0.3, windows=(NIGHT,))
EIGHT = 1_800_000_000_000  # 08:00 UTC


def local(at):
    return datetime.fromtimestamp(at, UTC)


def test_what_was_not_measured_or_not_priced_is_none_and_never_zero(record):
    assert value_of(record(), None, TARIFF, local) == Value()
    assert value_of(record(joules=0.0), None, None, local) == Value(microjoules=0)


def test_energy_is_spread_over_the_requests_time_and_paid_window_by_window(record):
    one = record(joules=3600.0, started_at_ms=EIGHT - 10_000, duration_ms=40_000.0)
    assert value_of(one, PRICES, TARIFF, local) == Value(
        3_600_000_000, Money("USD", 2000), Money("EUR", 150_000)
    )


def test_a_request_without_tokens_earns_nothing_and_costs_what_it_took(record):
    one = record(joules=36.0, usage={}, started_at_ms=EIGHT, duration_ms=0.0)
    assert value_of(one, PRICES, TARIFF, local) == Value(
        36_000_000, Money("USD", 0), Money("EUR", 1000)
    )
