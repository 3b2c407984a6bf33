from __future__ import annotations

import io

import pytest
from rich.console import Console

from byoi_agent.cli.money_words import joules_in_kwh, money
from byoi_agent.cli.usage_view import usage_view
from byoi_agent.control.schema import UsageTable, usage_table
from byoi_agent.usage.energy_lines import EnergyKey, EnergyLine
from byoi_agent.usage.money import Money
from byoi_agent.usage.report import UsageReport, UsageRow, UsageTotals, Worth

DAY = "2026-11-21"
LONG = "a-model-with-a-name-that-is-quite-long-indeed-32b-instruct"
PAID = Worth(37, 40, 3_600_000_000, (Money("EUR", 1_234_500_000),), (Money("EUR", 300_000_000),))


def shown(table):
    out = io.StringIO()
    Console(file=out, width=100, highlight=False).print(usage_view(table))
    return out.getvalue()


def table(worth, *energy, model="smol"):
    row = UsageRow(DAY, model, "complete", 40, 1000, 200, 4, worth)
    return usage_table([UsageReport((row,), UsageTotals(), energy)])


def line(kind, joules, nano, model="", by="counter"):
    return EnergyLine(EnergyKey(DAY, model, kind, by, "EUR"), joules * 1_000_000, nano)


WHOLE = (
    line("idle", 1_800_000, 150_000_000),
    line("left", 36, 1000, "smol", "power"),
    line("assumed", 360_000, 30_000_000, "smol", "setting"),
)


def test_energy_and_money_by_day_and_model_with_idle_apart_and_a_sum():
    text = shown(table(PAID, *WHOLE))
    for words in (
        "37 of 40",
        "1.23 EUR",
        "0.30 EUR",
        "0.93 EUR",
        "(while nothing ran)",
        "0.500",
        "-0.15 EUR",
        "(assumed: other_watts)",
        "(between two looks)",
        "net 0.75 EUR",
        "the devices' own counters and their power, integrated",
        "Energy was measured of 37 of 40 requests",
    ):
        assert words in " ".join(text.split()), words


@pytest.mark.parametrize("model", ["smol", LONG])
def test_a_table_is_no_wider_than_a_hundred_columns_and_no_name_is_cut(model):
    text = shown(table(PAID, *WHOLE, model=model))
    assert max(map(len, text.splitlines())) <= 100
    assert "…" not in text


def test_without_prices_and_measurement_it_says_what_to_do_and_shows_no_zeros():
    text = " ".join(shown(table(Worth())).split())
    assert "None of these requests had a price: put [prices] into the file" in text
    assert "No energy was measured" in text
    assert "EUR" not in text
    assert "kWh" not in text


def test_without_a_tariff_there_is_energy_and_no_cost():
    text = " ".join(shown(table(Worth(40, 40, 3_600_000_000_000, (Money("EUR", 5),)))).split())
    assert "1.000" in text
    assert "No tariff was set: put [tariff]" in text
    assert "no net: no [tariff] was set" in text


def test_energy_alone_is_told_in_whole_sentences():
    idle = line("idle", 5, 0)._replace(key=EnergyKey(DAY, "", "idle", "counter", ""))
    for energy in (
        shown(table(Worth(40, 0, 9_000_000), idle)),
        shown(usage_table([UsageReport((), UsageTotals(), (idle,))])),
    ):
        assert "\nMeasured by the devices' own counters.\n" in energy
        assert "No tariff was set: put [tariff]" in energy


def test_two_currencies_are_shown_apart_and_never_added():
    text = " ".join(
        shown(table(Worth(40, 40, 5, (Money("USD", 2 * 10**9),), (Money("EUR", 10**9),)))).split()
    )
    assert "2.00 USD" in text
    assert "1.00 EUR" in text
    assert "no net: there are amounts in EUR and USD" in text


def test_some_requests_without_a_price_are_counted():
    text = shown(table(PAID._replace(priced_requests=12)))
    assert "12 of 40 requests had a price." in text


def test_nothing_served_is_an_empty_table_without_hints():
    assert "price" not in shown(UsageTable())


@pytest.mark.parametrize(
    ("amount", "words"),
    [(1234.5, "1,234.50 EUR"), (-0.25, "-0.25 EUR"), (0.0125, "0.012500 EUR"), (1e-9, "0.00 EUR")],
)
def test_small_amounts_keep_their_places(amount, words):
    assert money({"EUR": amount}) == words


def test_amounts_and_energy_in_words():
    assert money({}, "-") == "-"
    assert money({"EUR": 1.0, "USD": 2.0}) == "1.00 EUR, 2.00 USD"
    assert joules_in_kwh(3_600_000 * 1234.5) == "1,234.500"
    assert joules_in_kwh(3600) == "0.001000"
