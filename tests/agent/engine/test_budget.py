from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

from byoi_agent.config.settings import Settings
from byoi_agent.engine.budget import ALL, HOST, budget_of, gpu_bytes, model_of, others_of
from byoi_agent.engine.entries import Entry
from byoi_agent.hardware.devices import DeviceReading

GIB = 1024**3
NOTHING_KNOWN = {"reckoned": lambda _entry: None}


def entry(weight=10 * GIB, gpus=0, sleeps=False, settings=None, **facts):
    kind = SimpleNamespace(weight_bytes=weight, uses_gpus=gpus, can_sleep=sleeps)
    return Entry("m", kind, settings or Settings(kv_cache_gib=1.0), **facts)


def test_only_memory_of_cards_own_is_a_gpus():
    devices = [
        DeviceReading(0, "nvidia", "H200", memory_total_bytes=141 * GIB),
        DeviceReading(1, "nvidia", "lost"),
        DeviceReading(2, "apple", "M4", memory_total_bytes=64 * GIB, is_memory_unified=True),
        DeviceReading(3, "cpu", "Xeon", memory_total_bytes=64 * GIB),
    ]
    assert gpu_bytes(devices) == {0: 141 * GIB}


def test_something_is_left_to_the_driver_and_the_machine():
    budget = budget_of(None, {0: 100 * GIB}, 100 * GIB)
    assert budget == {ALL: 170 * GIB, "GPU 0": 95 * GIB, HOST: 75 * GIB}


def test_of_what_others_hold_counts_what_goes_beyond_the_share_that_is_left_to_them():
    held = {0: 3 * GIB, 1: GIB, 7: GIB}
    found = others_of(held, {0: 40 * GIB, 1: 20 * GIB})
    assert {name: round(size / GIB, 3) for name, size in found.items()} == {"GPU 0": 1, "GPU 7": 1}


def test_the_owners_number_is_for_all_models_together():
    assert budget_of(24.0, {}, None) == {ALL: 24 * GIB, HOST: 0}


def test_the_owners_word_on_a_model_wins_then_what_is_known_then_its_files():
    assert model_of(entry(memory_bytes=5), {}, lambda _: 6).loaded == {ALL: 5, HOST: 5}
    assert model_of(entry(), {}, lambda _: 6).loaded == {ALL: 6, HOST: 6}
    assert model_of(entry(), {}, **NOTHING_KNOWN).loaded == {ALL: 12 * GIB, HOST: 12 * GIB}
    assert model_of(entry(1), {}, **NOTHING_KNOWN).loaded[ALL] == 256 * 1024**2


def test_it_is_counted_on_the_gpus_that_it_uses():
    two = model_of(entry(gpus=2, memory_bytes=11), {}, **NOTHING_KNOWN)
    assert two.loaded == {ALL: 11, "GPU 0": 6, "GPU 1": 6}
    pinned = replace(entry(gpus=1, memory_bytes=11), gpus=(3,))
    assert model_of(pinned, {}, **NOTHING_KNOWN).loaded == {ALL: 11, "GPU 3": 11}


def test_a_vllm_that_was_told_no_context_takes_its_share():
    settings = Settings(gpu_memory_share=0.5)
    share = model_of(entry(gpus=1, settings=settings), {0: 80 * GIB}, lambda _: 6)
    assert share.loaded[ALL] == 40 * GIB
    whole = model_of(entry(gpus=1, settings=Settings()), {0: 80 * GIB}, lambda _: 6)
    assert whole.loaded[ALL] == 72 * GIB
    unknown = model_of(entry(gpus=1, settings=Settings()), {}, lambda _: 6)
    assert unknown.loaded[ALL] == 6


def test_asleep_its_weights_lie_in_the_machines_memory():
    assert model_of(entry(sleeps=True), {}, **NOTHING_KNOWN).asleep == {HOST: 10 * GIB}
    assert model_of(entry(), {}, **NOTHING_KNOWN).asleep is None


def test_asleep_it_keeps_some_of_each_gpu():
    large = model_of(entry(gpus=2, sleeps=True), {}, **NOTHING_KNOWN)
    two = 2 * GIB
    assert large.asleep == {ALL: 2 * two, "GPU 0": two, "GPU 1": two, HOST: 10 * GIB}
    small = model_of(entry(gpus=1, sleeps=True, memory_bytes=GIB), {}, **NOTHING_KNOWN)
    assert small.asleep == {ALL: GIB, "GPU 0": GIB, HOST: 10 * GIB}
