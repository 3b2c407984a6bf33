from __future__ import annotations

import asyncio

import pytest

from byoi_agent.config.tables import Tariff
from byoi_agent.hardware.devices import DeviceReading, ProbeReading
from byoi_agent.usage.books import Books
from byoi_agent.usage.energy_lines import EnergyKey
from byoi_agent.usage.prices import PriceList
from byoi_agent.usage.sampling import (
    BUSY_SECONDS,
    FRESH_SECONDS,
    SETTLE_SECONDS,
    WAIT_SECONDS,
    WRITE_SECONDS,
    EnergySampler,
)
from byoi_wire.ids import ModelId, RecordId

A, B = RecordId("a", 1), RecordId("b", 1)
SMOL = ModelId("smol")
DAY = "2027-01-15"


class Card:
    """A card of 100 W while something runs, 20 W else; `by` says what it tells of that."""

    def __init__(self, clock, by="counter"):
        self._clock = clock
        self._at = clock.now
        self.by = by
        self.watts = 20.0
        self.joules = 0.0
        self.looks = 0
        self.is_lost = False

    def turn(self, watts):
        self.joules += self.watts * (self._clock.now - self._at)
        self._at, self.watts = self._clock.now, watts

    async def read(self):
        self.looks += 1
        self.turn(self.watts)
        if self.is_lost:
            return ProbeReading(problem="GPU is lost")
        told = {"energy_joules": self.joules} if self.by == "counter" else {}
        if self.by == "power":
            told = {"power_watts": self.watts}
        return ProbeReading((DeviceReading(index=0, kind="nvidia", name="card", **told),))


class Keeper:
    def __init__(self):
        self.lines = []

    async def add_energy(self, lines):
        self.lines += lines

    async def evidence(self, limit):
        return []

    def joules(self, kind):
        return sum(line.microjoules for line in self.lines if line.key.kind == kind) / 1e6


async def turns():
    for _ in range(12):
        await asyncio.sleep(0)


class Bench:
    """A sampler that runs, on a clock that moves when told."""

    def __init__(self, clock, health, by):
        self.clock = clock
        self.card = Card(clock, by)
        self.keeper = Keeper()
        self.books = Books(clock, health)
        self.sampler = EnergySampler(self.card, self.books, self.keeper, clock)
        self.task = None

    async def pass_time(self, seconds):
        for _ in range(round(seconds * 10)):
            self.clock.advance(0.1)
            await turns()

    async def stop(self):
        self.task.cancel()
        await asyncio.wait({self.task})


@pytest.fixture
async def start(clock, health):
    started = []

    async def begin(by="counter"):
        bench = Bench(clock, health, by)
        started.append(bench)
        bench.task = asyncio.create_task(bench.sampler.run())
        await turns()
        await bench.sampler.read()
        return bench

    yield begin
    for bench in started:
        await bench.stop()


async def run_one(bench, seconds, record_id=A, watts=100.0):
    bench.sampler.begin(record_id, SMOL)
    await turns()
    bench.card.turn(watts)
    await bench.pass_time(seconds)
    bench.card.turn(20.0)
    bench.sampler.stop(record_id)
    return await bench.sampler.end(record_id)


@pytest.mark.parametrize("by", ["counter", "power"])
async def test_a_request_has_what_the_card_took_while_it_ran(start, by):
    bench = await start(by)
    await bench.pass_time(7.3)
    joules = await run_one(bench, 6.7)
    assert joules == pytest.approx(670.0, rel=0.15 if by == "power" else 0.02)


async def test_what_all_have_and_what_was_idle_is_what_the_card_took(start):
    bench = await start()
    await bench.pass_time(4.0)
    bench.sampler.begin(A, SMOL)
    await bench.pass_time(1.5)
    other = await run_one(bench, 3.2, B)
    own = await bench.sampler.end(A)
    await bench.pass_time(2.0)
    await bench.stop()
    await bench.sampler.read()
    assert own + other + bench.keeper.joules("idle") + bench.keeper.joules("left") == pytest.approx(
        bench.card.joules, rel=0.05
    )
    assert own > other > 0


async def test_short_requests_do_not_each_pay_for_a_look(start):
    bench = await start()
    looks = bench.card.looks
    for number in range(20):
        bench.sampler.begin(RecordId(f"r{number}", 1), SMOL)
        bench.clock.advance(0.01)
        await bench.sampler.end(RecordId(f"r{number}", 1))
    await turns()
    assert bench.card.looks == looks
    bench.clock.advance(FRESH_SECONDS)
    await bench.sampler.end(A)
    assert bench.card.looks == looks


async def test_while_requests_run_it_looks_each_second(start):
    bench = await start()
    looks = bench.card.looks
    await run_one(bench, 10 * BUSY_SECONDS)
    assert bench.card.looks - looks >= 10


async def test_it_goes_on_to_look_closely_until_the_card_has_cooled_down(start):
    bench = await start()
    await run_one(bench, 2.0)
    looks = bench.card.looks
    await bench.pass_time(SETTLE_SECONDS)
    assert bench.card.looks - looks >= SETTLE_SECONDS - 1
    await bench.pass_time(5.0)
    looks = bench.card.looks
    await bench.pass_time(10.0)
    assert bench.card.looks - looks == 2


async def test_nothing_is_looked_for_where_nothing_measures(start):
    bench = await start(by="nothing")
    looks = bench.card.looks
    assert await run_one(bench, 10.0) is None
    await bench.pass_time(10.0)
    assert bench.card.looks == looks
    assert bench.sampler.view.methods == {0: None}


async def test_of_a_request_while_the_card_is_lost_nothing_is_told(start):
    bench = await start()
    await bench.pass_time(5.5)
    bench.sampler.begin(A, SMOL)
    await bench.pass_time(2.0)
    bench.card.is_lost = True
    await bench.pass_time(8.0)
    assert await bench.sampler.end(A) is None


async def test_a_look_that_takes_too_long_is_not_waited_for(start):
    bench = await start()
    await bench.pass_time(5.5)
    bench.sampler.begin(A, SMOL)
    await bench.pass_time(1.5)
    gate = asyncio.Event()

    async def slow():
        await gate.wait()
        return ProbeReading()

    bench.card.read = slow
    bench.clock.advance(FRESH_SECONDS)
    assert await bench.sampler.end(A) == pytest.approx(30.0, rel=0.5)
    gate.set()
    await turns()


async def test_no_request_waits_at_its_end_for_a_look_that_hangs(start):
    bench = await start()
    await bench.pass_time(5.5)
    gate = asyncio.Event()

    async def hung():
        await gate.wait()
        return ProbeReading()

    bench.card.read = hung
    bench.sampler.begin(A, SMOL)
    await bench.pass_time(WAIT_SECONDS + 0.2)
    end = asyncio.create_task(bench.sampler.end(A))
    await turns()
    assert end.done()
    gate.set()
    await turns()


async def test_idle_energy_is_written_each_minute_so_that_a_kill_costs_no_more(start):
    bench = await start()
    await bench.pass_time(WRITE_SECONDS + 1.0)
    assert bench.keeper.joules("idle") == pytest.approx(20.0 * WRITE_SECONDS, rel=0.1)
    assert {line.key for line in bench.keeper.lines} == {EnergyKey(DAY, "", "idle", "counter", "")}


async def test_at_its_end_all_that_was_measured_is_written(start):
    bench = await start()
    await bench.pass_time(10.2)
    await bench.stop()
    assert bench.keeper.joules("idle") == pytest.approx(200.0, rel=0.05)


async def test_what_nothing_measures_is_assumed_by_the_owners_word_and_kept_apart(start):
    bench = await start()
    bench.books.take(
        Tariff(currency="EUR", price_per_kwh=0.3, other_watts=50.0),
        PriceList(),
        has_stop_loss=False,
    )
    joules = await run_one(bench, 4.0)
    await bench.pass_time(3.0)
    await bench.stop()
    assert bench.keeper.joules("assumed") == pytest.approx(200.0, rel=0.1)
    assert joules == pytest.approx(400.0, rel=0.05)


async def test_a_model_with_gpus_of_its_own_takes_nothing_of_others(start):
    bench = await start()
    bench.sampler.know((SMOL,), {"smol": frozenset({7})})
    assert await run_one(bench, 3.0) is None
    assert bench.sampler.view.by_model == {}
    assert bench.sampler.view.idle_joules > 0


async def test_the_wall_clock_may_jump_while_a_request_runs(start):
    bench = await start()
    await bench.pass_time(5.5)
    wall = bench.clock.wall
    bench.sampler.begin(A, SMOL)
    await bench.pass_time(1.0)
    bench.clock.wall = lambda: wall() - 7200.0
    await bench.pass_time(1.0)
    assert await bench.sampler.end(A) == pytest.approx(40.0, rel=0.1)


async def test_stop_loss_is_asked_of_the_books(start):
    bench = await start()
    assert bench.sampler.refusal(SMOL) is None


async def test_what_the_owners_own_request_took_is_on_no_guests_record(start):
    bench = await start()
    bench.sampler.begin(B, SMOL, is_own=True)
    bench.card.turn(100.0)
    await bench.pass_time(4.0)
    joules = await run_one(bench, 4.0)
    assert joules == pytest.approx(200.0, rel=0.05), "half of the time in which both ran"
    bench.sampler.stop(B)
    assert bench.sampler.forget(B) == pytest.approx(600.0, rel=0.1)
    await bench.pass_time(70.0)
    assert bench.keeper.joules("left") < 10.0
