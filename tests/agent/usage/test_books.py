from __future__ import annotations

from datetime import UTC, datetime

import pytest

from byoi_agent.config.tables import Tariff, TariffWindow
from byoi_agent.usage.books import Books
from byoi_agent.usage.energy_lines import EnergyKey, EnergyLine
from byoi_agent.usage.evidence import Measurement
from byoi_agent.usage.money import Money
from byoi_agent.usage.policy import LEAST_REQUESTS
from byoi_agent.usage.prices import PriceList
from byoi_agent.usage.report import UsageReport, UsageRow, UsageTotals, Worth
from byoi_agent.usage.storage import StorageUnavailable
from byoi_agent.usage.value import Value
from byoi_wire.offers import Prices
from byoi_wire.usage import Usage

START = 1_800_000_000.0 + 1000.0  # 2027-01-15, 08:16 UTC
DAY = "2027-01-15"
PRICES = PriceList(Prices(currency="EUR", input=0.1, output=0.1))
NOTHING_YET = UsageReport((), UsageTotals())
KEY = EnergyKey(DAY, "", "idle", "counter", "EUR")


class Keeper:
    def __init__(self):
        self.lines = []
        self.known = []
        self.fault = None

    async def add_energy(self, lines):
        if self.fault is not None:
            raise self.fault
        self.lines += lines

    async def evidence(self, limit):
        return self.known[-limit:]


def tariff(price=0.3, **changes):
    return Tariff(currency="EUR", price_per_kwh=price, **changes)


@pytest.fixture
def keeper():
    return Keeper()


@pytest.fixture
def books(clock, health):
    return Books(clock, health, lambda at: datetime.fromtimestamp(at, UTC))


def measured(record, count=LEAST_REQUESTS, joules=1200.0):
    usage = Usage(prompt_tokens=400, completion_tokens=600)
    for number in range(count):
        yield record(number, joules=joules, usage=usage, started_at_ms=int(START * 1000))


def test_before_the_owner_has_said_anything_a_record_has_its_joules_alone(books, record):
    assert books.value(record(joules=1.5)) == Value(1_500_000, None, None)
    assert books.value(record()) == Value()
    assert (books.other_watts, books.today()) == (0.0, None)


def test_a_record_is_worth_what_prices_and_tariff_say_now(books, record):
    books.take(tariff(), PRICES, has_stop_loss=False)
    one = record(joules=3600.0, started_at_ms=int(START * 1000))
    assert books.value(one) == Value(3_600_000_000, Money("EUR", 1500), Money("EUR", 300_000))
    books.take(tariff(0.6), PriceList(), has_stop_loss=False)
    assert books.value(one) == Value(3_600_000_000, None, Money("EUR", 600_000))


async def test_energy_on_no_record_is_added_up_and_written_together(books, keeper):
    await books.write(keeper)
    books.take(tariff(), PRICES, has_stop_loss=False)
    for _ in range(3):
        books.book("idle", "", 36.0, measured_by="counter", since=START, until=START + 1)
    await books.write(keeper)
    await books.write(keeper)
    assert keeper.lines == [EnergyLine(KEY, 108_000_000, 9000)]


async def test_what_the_disk_refuses_is_kept_for_the_next_time(books, keeper):
    books.take(tariff(), PRICES, has_stop_loss=False)
    books.book("idle", "", 36.0, measured_by="counter", since=START, until=START)
    keeper.fault = StorageUnavailable("full")
    await books.write(keeper)
    keeper.fault = None
    books.book("idle", "", 36.0, measured_by="counter", since=START, until=START)
    await books.write(keeper)
    assert keeper.lines == [EnergyLine(KEY, 72_000_000, 6000)]


def test_without_a_tariff_energy_has_no_cost_but_is_energy(books):
    books.book("idle", "", 36.0, measured_by="power", since=START, until=START)
    (line,) = books.today().energy
    assert line == EnergyLine(EnergyKey(DAY, "", "idle", "power", ""), 36_000_000, 0)


async def test_today_goes_on_from_what_the_file_has(books, keeper, record):
    worth = Worth(1, 1, 7, (Money("EUR", 5),), (Money("EUR", 2),))
    rows = (
        UsageRow(DAY, "smol", "complete", 2, 9, 9, 0, worth),
        UsageRow("2027-01-14", "smol", "complete", 5, 9, 9, 0, worth),
    )
    lines = (EnergyLine(KEY, 10, 1), EnergyLine(KEY._replace(day="2027-01-14"), 10, 1))
    await books.begin(keeper, UsageReport(rows, UsageTotals(), lines))
    books.take(tariff(), PRICES, has_stop_loss=False)
    books.value(record(joules=1.0, started_at_ms=int(START * 1000)))
    books.value(record(joules=1.0, started_at_ms=int((START - 86400) * 1000)))
    report = books.today()
    assert report.energy == (EnergyLine(KEY, 10, 1),)
    (row,) = report.rows
    assert (row.requests, row.worth.measured_requests, row.worth.microjoules) == (3, 2, 1_000_007)


def test_at_midnight_today_begins_anew(books, clock, record):
    books.take(tariff(), PRICES, has_stop_loss=False)
    books.value(record(joules=1.0, started_at_ms=int(START * 1000)))
    books.book("idle", "", 36.0, measured_by="power", since=START, until=START)
    clock.advance(86400.0)
    assert books.today().rows[0].requests == 0
    assert books.today().energy == ()


def test_stop_loss_refuses_a_model_while_it_costs_more_than_it_earns(books, record):
    cheap_night = TariffWindow(since="22:00", until="06:00", price_per_kwh=0.1)
    for one in measured(record):
        books.value(one)
    books.take(tariff(0.5), PRICES, has_stop_loss=True)
    assert books.refusal("small") == "below_marginal_cost"
    assert books.refusal("other") is None  # nothing is known of it
    books.take(tariff(0.5), PRICES, has_stop_loss=False)
    assert books.refusal("small") is None
    books.take(tariff(0.5, windows=(cheap_night,)), PRICES, has_stop_loss=True)
    assert books.refusal("small") == "below_marginal_cost"


def test_it_takes_requests_again_when_a_cheaper_window_comes(books, clock, health, record):
    for one in measured(record):
        books.value(one)
    soon = TariffWindow(since="09:00", until="10:00", price_per_kwh=0.1)
    books.take(tariff(0.5, windows=(soon,)), PRICES, has_stop_loss=True)
    books.tell(["small"])
    (warning,) = health.warnings
    assert warning.name == "stop-loss"
    assert "small: a million of its tokens take energy for 0.1667 EUR now" in warning.text
    clock.advance(3600.0)
    assert books.refusal("small") is None
    books.tell(["small"])
    assert health.warnings == ()


def test_what_stop_loss_cannot_judge_it_says_and_does_not_refuse(books, health, record):
    books.take(tariff(), PRICES, has_stop_loss=True)
    for one in measured(record, count=2):
        books.value(one)
    books.tell(["small"])
    (warning,) = health.warnings
    assert warning.name == "stop-loss-cannot-judge"
    assert "the energy of 2 requests was measured so far" in warning.text
    assert books.refusal("small") is None
    books.take(tariff(), PRICES, has_stop_loss=False)
    books.tell(["small"])
    assert health.warnings == ()


def test_a_benchmark_counts_until_requests_tell_more(books, record):
    books.take(tariff(0.5), PRICES, has_stop_loss=True)
    books.know_bench({"small": 1.2})
    assert books.refusal("small") == "below_marginal_cost"
    for one in measured(record, joules=1.0):
        books.value(one)
    assert books.refusal("small") is None


async def test_evidence_of_earlier_starts_counts(books, keeper):
    usage = Usage(prompt_tokens=400, completion_tokens=600)
    keeper.known = [Measurement("small", 1200.0, usage)] * LEAST_REQUESTS
    await books.begin(keeper, NOTHING_YET)
    books.take(tariff(0.5), PRICES, has_stop_loss=True)
    assert books.refusal("small") == "below_marginal_cost"


def test_without_a_clock_of_its_own_it_goes_by_the_machines(clock, health, record):
    books = Books(clock, health)
    books.take(tariff(), PRICES, has_stop_loss=True)
    assert books.value(record(joules=3600.0)).energy == Money("EUR", 300_000)
    assert books.judge("small").verdict == "cannot_judge"
