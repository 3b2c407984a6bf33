from __future__ import annotations

import pytest

from byoi_agent.control.money import NO_PRICES, NO_TARIFF, NOT_MEASURED, balance_of, energy_rows
from byoi_agent.control.schema import UsageTable, usage_table
from byoi_agent.usage.energy_lines import EnergyKey, EnergyLine
from byoi_agent.usage.money import Money
from byoi_agent.usage.report import UsageReport, UsageRow, UsageTotals, Worth

DAY = "2027-01-15"


def row(worth, requests=2, model="smol"):
    return UsageRow(DAY, model, "complete", requests, 10, 20, 4, worth)


def table(*worths, energy=()):
    rows = tuple(row(worth, model=f"m{place}") for place, worth in enumerate(worths))
    return usage_table([UsageReport(rows, UsageTotals(), tuple(energy))])


def line(kind, microjoules, nano, *, model="", by="counter", currency="EUR"):
    return EnergyLine(EnergyKey(DAY, model, kind, by, currency), microjoules, nano)


PAID = Worth(2, 2, 3_600_000_000, (Money("EUR", 900_000),), (Money("EUR", 300_000),))


def test_net_is_what_is_earned_without_all_energy_also_the_idle_and_the_assumed():
    apart = (
        line("idle", 36_000_000, 3000),
        line("idle", 36_000_000, 3000, by="power"),
        line("left", 1_000_000, 100, model="m0", by="counter+power"),
        line("assumed", 12_000_000, 1000, model="m0", by="setting"),
    )
    balance = table(PAID, PAID, energy=apart).balance
    assert balance.model_dump() == {
        "requests": 4,
        "measured_requests": 4,
        "priced_requests": 4,
        "measured_by": ("counter", "power"),
        "joules": 7200.0,
        "left_joules": 1.0,
        "idle_joules": 72.0,
        "assumed_joules": 12.0,
        "earned": {"EUR": 0.0018},
        "energy_cost": {"EUR": 0.0006},
        "left_cost": {"EUR": 1e-7},
        "idle_cost": {"EUR": 6e-6},
        "assumed_cost": {"EUR": 1e-6},
        "net": {"EUR": 0.0011929},
        "net_reason": None,
    }


@pytest.mark.parametrize(
    ("worth", "energy", "reason"),
    [
        (Worth(), (), None),
        (Worth(0, 2, None, (Money("EUR", 5),)), (), NOT_MEASURED),
        (
            Worth(0, 2, None, (Money("EUR", 5),)),
            (line("assumed", 1, 1, by="setting"),),
            NOT_MEASURED,
        ),
        (Worth(2, 2, 5, (Money("EUR", 5),)), (), NO_TARIFF),
        (Worth(2, 0, 5, (), (Money("EUR", 5),)), (), NO_PRICES),
        (
            Worth(2, 2, 5, (Money("USD", 5),), (Money("EUR", 5),)),
            (),
            "no net: there are amounts in EUR and USD",
        ),
    ],
)
def test_where_net_cannot_be_told_it_says_why(worth, energy, reason):
    balance = table(worth, energy=energy).balance
    assert (balance.net, balance.net_reason) == (None, reason)


def test_what_was_not_measured_is_none_and_never_zero():
    (shown,) = table(Worth()).rows
    assert (shown.joules, shown.measured_requests, shown.earned) == (None, 0, {})
    assert table(Worth()).balance.idle_joules is None


def test_nodes_are_added_up_and_some_rows_may_not_have_been_measured():
    measured, not_measured = table(PAID), table(Worth())
    both = usage_table([measured, not_measured, UsageTable()])
    (shown,) = both.rows
    assert (shown.requests, shown.measured_requests, shown.joules) == (4, 2, 3600.0)
    assert shown.earned == {"EUR": 0.0009}
    assert both.balance.requests == 4


def test_lines_of_the_same_kind_in_two_currencies_are_one_row_and_two_amounts():
    lines = (
        line("idle", 1, 2),
        line("idle", 3, 5, currency="USD"),
        line("idle", 4, 0, currency=""),
    )
    (one,) = energy_rows(lines)
    assert one.joules == 8e-6
    assert one.cost == {"EUR": 2e-9, "USD": 5e-9}
    assert energy_rows([one, one])[0].cost == {"EUR": 4e-9, "USD": 1e-8}


def test_nothing_has_no_balance():
    assert balance_of((), ()).net_reason is None
