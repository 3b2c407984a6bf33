from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from byoi_agent.engine import load_watch
from byoi_agent.engine.estimate import Demand
from byoi_agent.engine.kept_loads import KeptLoads
from byoi_agent.engine.load_watch import LoadWatch
from byoi_agent.engine.prediction import Prediction
from byoi_agent.engine.view import EngineLoad, EngineView
from byoi_agent.hardware.devices import DeviceProcess, DeviceReading
from byoi_agent.planning.calibration import Key

KEY = Key("llamacpp", "2026.10", "smol", "Q4_1", 2048, 4)
READY = EngineView("ready", "llamacpp", pid=10)
MIB = 1 << 20


class Clock:
    """Time goes on when a test says so; whoever sleeps is noted."""

    def __init__(self):
        self.now = 0.0
        self.sleeping = asyncio.Event()
        self.may_go_on = asyncio.Event()

    def monotonic(self):
        return self.now

    def wall(self):
        return 1000.0 + self.now

    async def sleep_until(self, at):
        self.now = at
        self.sleeping.set()
        await self.may_go_on.wait()
        self.may_go_on.clear()


@pytest.fixture
def kept(tmp_path):
    return KeptLoads(tmp_path / "loads.json")


@pytest.fixture
def watched(kept):
    """A watch over engines whose processes have the sizes that a test says."""
    sizes = {}

    def make(*, is_on_devices=False, prediction=True):
        def predict(view):
            return Prediction(KEY, 100 * MIB, is_on_devices) if prediction else None

        return LoadWatch(
            kept,
            predict=predict,
            clock=Clock(),
            on_known=lambda: make.news.append(len(seen(kept))),
            measure=sizes.get,
        )

    make.sizes, make.news = sizes, []
    return make


def seen(kept):
    return [one.measured_bytes // MIB for one in kept.corrections.seen.get(KEY, ())]


async def test_an_engine_that_answers_is_measured(watched, kept, caplog):
    watch = watched()
    watched.sizes[10] = 120 * MIB
    watch.look([READY], ())
    with caplog.at_level("INFO"):
        await watch.measure()
    (one,) = kept.corrections.seen[KEY]
    assert (one.predicted_bytes, one.measured_bytes) == (100 * MIB, 120 * MIB)
    assert one.expected_bytes == 100 * MIB  # nothing was known of it before
    assert caplog.records[-1].measured_bytes == 120 * MIB


async def test_one_that_still_loads_is_not_measured(watched, kept):
    watch = watched()
    watched.sizes[10] = 120 * MIB
    watch.look([replace(READY, state="starting"), replace(READY, pid=None)], ())
    await watch.measure()
    assert seen(kept) == []


async def test_one_that_comes_while_others_are_reckoned_is_looked_at_next_time(kept):
    coming = replace(READY, key="coming", pid=11)
    sizes = {10: 120 * MIB, 11: 130 * MIB}

    def predict(view):
        watch.look([READY, coming], ())
        return Prediction(KEY, 100 * MIB, is_on_devices=False)

    watch = LoadWatch(kept, predict=predict, clock=Clock(), measure=sizes.get)
    watch.look([READY], ())
    await watch.measure()
    assert seen(kept) == [120]
    await watch.measure()
    assert seen(kept) == [130]


async def test_the_peak_is_one_load_and_grows(watched, kept):
    watch = watched()
    watch.look([READY], ())
    for size in (120, 140, 130, 140.1):
        watched.sizes[10] = round(size * MIB)
        await watch.measure()
        watch.look([replace(READY, state="draining")], ())  # also while its requests end
    assert seen(kept) == [140]


async def test_the_next_run_is_another_load_and_expects_what_the_first_took(watched, kept):
    watch = watched()
    watched.sizes.update({10: 120 * MIB, 11: 121 * MIB})
    watch.look([READY], ())
    await watch.measure()
    watch.look([], ())
    await watch.measure()
    watch._clock.now = 60.0
    watch.look([replace(READY, pid=11)], ())
    await watch.measure()
    assert seen(kept) == [120, 121]
    said = kept.corrections.seen[KEY][1].expected_bytes
    assert 112 * MIB < said < 121 * MIB


async def test_less_than_reckoned_proves_nothing_until_the_engine_has_worked(watched, kept):
    watch = watched()
    watched.sizes[10] = 80 * MIB
    for load in (None, EngineLoad(), EngineLoad(prompt_tokens=2047)):
        watch.look([replace(READY, load=load)], ())
        await watch.measure()
        assert seen(kept) == []
    watch.look([replace(READY, load=EngineLoad(prompt_tokens=2048))], ())
    await watch.measure()
    assert seen(kept) == [80]


async def test_of_what_cannot_be_reckoned_nothing_is_learnt(watched, kept):
    watch = watched(prediction=False)
    watched.sizes[10] = 120 * MIB
    watch.look([READY], ())
    await watch.measure()
    assert seen(kept) == []


async def test_what_nobody_can_measure_is_not_learnt_as_nothing(watched, kept):
    watch = watched()
    watch.look([READY], ())
    await watch.measure()
    assert seen(kept) == []


async def test_whoever_counts_with_it_hears_when_something_is_known_better(watched, kept):
    watch = watched()
    watch.look([replace(READY, state="asleep", pid=None)], ())
    await watch.measure()
    assert watched.news == [0]  # what it will take is reckoned before it runs
    await watch.measure()
    watched.sizes[10] = 120 * MIB
    watch.look([READY], ())
    await watch.measure()
    await watch.measure()
    assert watched.news == [0, 1]


async def test_on_a_gpu_the_driver_s_numbers_count(watched, kept, monkeypatch):
    monkeypatch.setattr(load_watch, "tree_of", lambda pid: (pid, 12))
    watch = watched(is_on_devices=True)
    watched.sizes[10] = 999 * MIB
    watch.look([READY], ())
    await watch.measure()
    assert seen(kept) == []
    held = (DeviceProcess(12, "compute", memory_used_bytes=110 * MIB),)
    watch.look([READY], (DeviceReading(0, "nvidia", "GPU", processes=held),))
    await watch.measure()
    assert seen(kept) == [110]


def holding(tokens, read=0, pid=10):
    """An engine that has told how much context it holds."""
    load = EngineLoad(held_tokens=tokens, prompt_tokens=read)
    return replace(READY, pid=pid, key=str(pid), load=load)


def card(*sizes):
    """What the driver says of the processes from 10 on."""
    held = (
        DeviceProcess(pid, "compute", memory_used_bytes=size * MIB)
        for pid, size in enumerate(sizes, 10)
    )
    return (DeviceReading(0, "nvidia", "GPU", processes=tuple(held)),)


async def test_a_share_of_a_gpu_teaches_once_the_engine_tells_what_context_it_made_of_it(
    kept, monkeypatch
):
    monkeypatch.setattr(load_watch, "tree_of", lambda pid: (pid,))
    share = Prediction(KEY, 900 * MIB, is_on_devices=True, demand=Demand(100 * MIB, 200 * MIB))
    watch = LoadWatch(kept, predict=lambda view: share, clock=Clock())
    watch.look([READY], card(880))
    await watch.measure()
    assert seen(kept) == []  # that it took its share says nothing
    watch.look([holding(3 * 2048)], card(880))
    await watch.measure()
    [one] = kept.corrections.seen[KEY]
    assert (one.predicted_bytes, one.measured_bytes) == (700 * MIB, 880 * MIB)
    assert one.expected_bytes == 700 * MIB


async def test_less_than_a_share_s_context_was_reckoned_to_take_is_learnt_too(kept, monkeypatch):
    monkeypatch.setattr(load_watch, "tree_of", lambda pid: (pid,))
    share = Prediction(KEY, 900 * MIB, is_on_devices=True, demand=Demand(100 * MIB, 200 * MIB))
    watch = LoadWatch(kept, predict=lambda view: share, clock=Clock())
    watch.look([holding(5 * 2048)], card(880))
    await watch.measure()
    assert seen(kept) == []
    watch.look([holding(5 * 2048, read=2048)], card(880))
    await watch.measure()
    [one] = kept.corrections.seen[KEY]
    assert (one.predicted_bytes, one.measured_bytes) == (1100 * MIB, 880 * MIB)


async def test_where_no_driver_names_processes_an_engine_s_share_is_what_it_took(kept, monkeypatch):
    monkeypatch.setattr(load_watch, "tree_of", lambda pid: (pid,))
    share = Prediction(KEY, 900 * MIB, is_on_devices=True, demand=Demand(100 * MIB, 200 * MIB))
    watch = LoadWatch(kept, predict=lambda view: share, clock=Clock())
    watch.look([replace(READY, key="other", pid=11), holding(3 * 2048)], gpu(2000))
    await watch.measure()
    assert seen(kept) == [900]


def gpu(used_mib):
    return (DeviceReading(0, "nvidia", "GPU", memory_used_bytes=used_mib * MIB),)


async def test_where_no_driver_names_processes_what_the_devices_gained_counts(
    watched, kept, monkeypatch
):
    monkeypatch.setattr(load_watch, "tree_of", lambda pid: (pid,))
    watch = watched(is_on_devices=True)
    watch.look([replace(READY, state="starting")], gpu(50))  # it has just been started
    watch._clock.now = 2.0
    watch.look([replace(READY, state="starting")], gpu(90))
    watch.look([READY], gpu(170))
    await watch.measure()
    assert seen(kept) == [120]
    other = replace(READY, key="other", pid=11)
    watch.look([READY, other], gpu(400))  # whose is it?
    await watch.measure()
    assert seen(kept) == [120]


@pytest.mark.parametrize(("cleared", "learnt"), [(160, []), (40, [140])])
async def test_a_reading_from_while_an_engine_ended_is_not_what_was_there_without_one(
    watched, kept, monkeypatch, cleared, learnt
):
    monkeypatch.setattr(load_watch, "tree_of", lambda pid: (pid,))
    watch = watched(is_on_devices=True)
    stopped, again = replace(READY, state="stopped", pid=None), replace(READY, pid=11)
    watch.look([READY], ())
    watch.look([stopped], gpu(160))  # of before its end
    watch.look([stopped], gpu(cleared))
    watch.look([again], gpu(cleared))
    watch._clock.now = 20.0
    watch.look([again], gpu(180))
    await watch.measure()
    assert seen(kept) == learnt


async def test_it_looks_at_news_and_no_oftener_than_it_may(watched, kept):
    watch = watched()
    clock = watch._clock
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(watch.run())
        watched.sizes[10] = 120 * MIB
        watch.look([READY], ())
        await clock.sleeping.wait()
        assert seen(kept) == [120]
        clock.sleeping.clear()
        watch.look([READY], ())  # no news
        clock.may_go_on.set()
        watched.sizes[10] = 150 * MIB
        watch.look([replace(READY, restarts=1)], ())
        await clock.sleeping.wait()
        assert seen(kept) == [150]
        assert clock.now == 2 * load_watch.INTERVAL_SECONDS
        running.cancel()


def test_real_processes_are_measured_where_nothing_else_is_said():
    import os

    assert load_watch._on_host(os.getpid()) > MIB
