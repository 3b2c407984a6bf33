from __future__ import annotations

import pytest
from tests.fakes.adapters import write_adapter

from byoi_agent.config.tables import AdapterSetting
from byoi_agent.engine.kinds.vllm_adapters import Adapters
from byoi_agent.errors import EngineError

BASE = {"hidden_size": 16, "num_hidden_layers": 2}
LOAD, UNLOAD = "/v1/load_lora_adapter", "/v1/unload_lora_adapter"


@pytest.fixture
def named(tmp_path):
    def make(name, **of):
        return AdapterSetting(name=name, path=write_adapter(tmp_path / name, **of))

    return make


@pytest.fixture
def vllm(engine):
    """An engine that keeps adapters as vLLM does."""
    engine.there = []

    def load(body):
        engine.there.append(body["lora_name"])
        return b"Success: LoRA adapter added."

    def unload(body):
        engine.there.remove(body["lora_name"])
        return b"Success: LoRA adapter removed."

    def listed(_body):
        return {
            "data": [{"id": "base", "parent": None}]
            + [{"id": name, "parent": "base"} for name in engine.there]
        }

    engine.table.update({LOAD: (200, load), UNLOAD: (200, unload), "/v1/models": (200, listed)})
    return engine


def begun(*wanted):
    adapters = Adapters("base", wanted)
    adapters.prepare(BASE)
    return adapters


def names(adapters):
    return [one.name for one in adapters.loaded]


def test_room_is_made_for_those_that_are_there_at_the_start(named, tmp_path):
    none = begun()
    assert (none.has_room, none.rank, none.at_once) == (False, 0, 0)
    few = begun(named("a"), named("b", rank=24))
    assert (few.has_room, few.rank, few.at_once) == (True, 32, 2)
    broken = begun(AdapterSetting(name="x", path=tmp_path / "nowhere"))
    assert (broken.rank, broken.at_once) == (16, 1)
    many = begun(*(named(f"n{number}") for number in range(12)))
    assert many.at_once == 8


async def test_those_that_are_wanted_are_loaded_once(named, vllm, tmp_path):
    adapters = begun(named("b"), named("a"))
    await adapters.begin(vllm.client)
    for _ in range(2):
        await adapters.settle(vllm.client)
    assert names(adapters) == ["b", "a"]
    assert vllm.there == ["b", "a"]
    told = [body for _, path, body in vllm.asked if path == LOAD]
    assert told[0] == {"lora_name": "b", "lora_path": str(tmp_path / "b")}
    assert adapters.faults == ()


async def test_they_come_and_go_while_it_serves(named, vllm, tmp_path):
    a, b = named("a"), named("b")
    adapters = begun(a)
    await adapters.settle(vllm.client)
    adapters.want((b,))
    await adapters.settle(vllm.client)
    assert vllm.there == ["b"]
    moved = AdapterSetting(name="b", path=write_adapter(tmp_path / "newer"))
    adapters.want((moved,))
    await adapters.settle(vllm.client)
    assert vllm.there == ["b"]
    assert adapters.loaded[0].path == tmp_path / "newer"
    adapters.want(())
    await adapters.settle(vllm.client)
    assert (vllm.there, names(adapters)) == ([], [])


async def test_after_a_new_start_they_are_loaded_again_and_after_sleep_they_are_not(named, vllm):
    adapters = begun(named("a"))
    await adapters.settle(vllm.client)
    await adapters.begin(vllm.client)
    await adapters.settle(vllm.client)
    assert vllm.paths().count(LOAD) == 1
    vllm.there.clear()
    await adapters.begin(vllm.client)
    await adapters.settle(vllm.client)
    assert vllm.there == ["a"]
    assert vllm.paths().count(LOAD) == 2


async def test_one_that_was_loaded_behind_our_back_is_taken_out_first(named, vllm):
    adapters = begun(named("a"))
    vllm.there.append("a")  # its loading had taken longer than we waited
    await adapters.begin(vllm.client)
    await adapters.settle(vllm.client)
    assert vllm.paths() == ["/v1/models", UNLOAD, LOAD]


async def test_a_broken_one_is_a_fault_and_the_others_are_served(named, vllm, tmp_path):
    adapters = begun(
        AdapterSetting(name="x", path=tmp_path / "nowhere"),
        named("a"),
        named("base"),
        AdapterSetting(name="a", path=tmp_path / "a"),
    )
    await adapters.settle(vllm.client)
    assert names(adapters) == ["a"]
    assert len(adapters.faults) == 2
    assert "the adapter x is not served" in adapters.faults[0]
    assert "another model has that name" in adapters.faults[1]


async def test_one_in_nobodys_home_is_a_fault_and_the_others_are_served(named, vllm):
    nobodys = AdapterSetting(name="ghost", path="~nobody-of-this-name/ghost")
    adapters = Adapters("base", (nobodys, named("fine")))
    adapters.prepare(BASE)
    await adapters.settle(vllm.client)
    assert [one.name for one in adapters.loaded] == ["fine"]
    assert "home folder" in adapters.faults[0]


async def test_one_that_needs_more_room_than_there_is_waits_for_a_restart(named, vllm):
    adapters = begun(named("a"))
    await adapters.settle(vllm.client)
    adapters.want((named("a"), named("big", rank=64)))
    await adapters.settle(vllm.client)
    assert names(adapters) == ["a"]
    assert "its rank is 64 and the engine was started for 16" in adapters.faults[0]


async def test_an_engine_that_refuses_one_goes_on_and_is_asked_again_when_told(named, vllm):
    answer = vllm.table[LOAD]
    vllm.table[LOAD] = (500, {"error": {"message": "at /home/somebody"}})
    adapters = begun(named("a"))
    for _ in range(2):
        await adapters.settle(vllm.client)
    assert vllm.paths() == [LOAD]
    assert "answered 500" in adapters.faults[0]
    assert "/home" not in adapters.faults[0]
    vllm.table[LOAD] = answer
    adapters.want(adapters.wanted)
    await adapters.settle(vllm.client)
    assert (names(adapters), adapters.faults) == (["a"], ())


async def test_one_that_cannot_be_taken_out_is_offered_no_more(named, vllm):
    adapters = begun(named("a"))
    await adapters.settle(vllm.client)
    del vllm.table[UNLOAD]
    adapters.want(())
    await adapters.settle(vllm.client)
    assert adapters.loaded == ()


async def test_an_engine_without_room_is_never_asked(named, vllm):
    adapters = begun()
    await adapters.begin(vllm.client)
    adapters.want((named("a"),))
    await adapters.settle(vllm.client)
    assert vllm.asked == []
    assert adapters.faults == ()


async def test_an_engine_that_does_not_say_what_it_has_is_not_ready(named, vllm):
    del vllm.table["/v1/models"]
    with pytest.raises(EngineError):
        await begun(named("a")).begin(vllm.client)
