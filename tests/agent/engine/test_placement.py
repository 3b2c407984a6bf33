from __future__ import annotations

from types import SimpleNamespace

import pytest

from byoi_agent.config.settings import Settings
from byoi_agent.engine.entries import Entry
from byoi_agent.engine.placement import free_bytes, placed
from byoi_agent.hardware.devices import DeviceReading, MigInstance

EIGHT = dict.fromkeys(range(8), 80)


def entry(name, need=40, count=1, **facts):
    kind = SimpleNamespace(uses_gpus=count, weight_bytes=need)
    return Entry(name, kind, Settings(), **facts)


def place(*entries, free=EIGHT, before=()):
    places = placed(entries, free, dict(before), lambda one, _its: one.kind.weight_bytes)
    return {key: its for (key, _), its in places.items()}


def test_models_land_on_different_gpus():
    assert place(entry("a"), entry("b"), entry("c")) == {"a": (0,), "b": (1,), "c": (2,)}


def test_several_share_one_only_when_no_other_has_more_room():
    four = [entry(name, need) for name, need in (("a", 60), ("b", 30), ("c", 20), ("d", 40))]
    assert place(*four, free={0: 80, 1: 80}) == {"a": (0,), "b": (1,), "c": (1,), "d": (1,)}


def test_one_over_several_gpus_takes_its_part_of_each():
    assert place(entry("a"), entry("b", 160, 4), entry("c", 10)) == {
        "a": (0,),
        "b": (1, 2, 3, 4),
        "c": (5,),
    }


def test_what_others_have_taken_counts():
    assert place(entry("a"), free={0: 20, 1: 80}) == {"a": (1,)}


def test_whoever_has_a_place_keeps_it_and_what_the_owner_named_counts():
    old, new, named = entry("old"), entry("new"), entry("named", gpus=(0, 9))
    before = {("old", 0): (1,), ("gone", 0): (2,)}
    assert place(new, named, old, free={0: 80, 1: 80, 2: 80}, before=before.items()) == {
        "old": (1,),
        "named": (0, 9),
        "new": (2,),
    }
    other = entry("old", edition=1)
    assert place(other, free={0: 80, 1: 60}, before=before.items()) == {"old": (0,)}


@pytest.mark.parametrize("count", [0, 3])
def test_one_that_needs_none_or_more_than_there_are_gets_none(count):
    assert place(entry("a", count=count), free={0: 80, 1: 80}) == {}


def test_free_is_what_nobody_has_taken_of_cards_that_a_vllm_can_use():
    devices = [
        DeviceReading(0, "nvidia", "H200", memory_total_bytes=100, memory_used_bytes=30),
        DeviceReading(1, "nvidia", "H200", memory_total_bytes=100),
        DeviceReading(2, "nvidia", "lost"),
        DeviceReading(3, "intel", "Arc", memory_total_bytes=16),
        DeviceReading(
            4,
            "nvidia",
            "H100",
            memory_total_bytes=80,
            is_mig=True,
            mig_instances=(MigInstance(0, memory_total_bytes=40, memory_used_bytes=1),),
        ),
        DeviceReading(5, "nvidia", "not split yet", memory_total_bytes=80, is_mig=True),
    ]
    assert free_bytes(devices) == {0: 70, 1: 100, 4: 39}
