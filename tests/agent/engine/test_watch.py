from __future__ import annotations

from dataclasses import replace

import pytest

from byoi_agent.engine import watch
from byoi_agent.errors import EngineError, EngineSilent
from byoi_wire.ids import ModelId


async def test_one_that_stops_answering_is_killed_and_started_again(stage, clock):
    it = stage()
    await clock.advance(1)
    it.kind.is_well = False
    await clock.advance(watch.WATCH_SECONDS - 0.5)
    assert it.runs[0].orders == ["kill", "gone"]
    assert "does not answer any more" in it.supervisor.view.reason


async def test_a_suspicion_is_looked_into_at_once_with_a_real_token(stage, clock):
    it = stage()
    await clock.advance(1)
    it.supervisor.suspect("stream broke")
    await clock.advance(0)
    assert it.kind.looks[-1] == "canary"
    assert it.supervisor.view.state == "ready"
    it.kind.is_well = False
    it.supervisor.suspect("stream broke")
    await clock.advance(0)
    assert it.supervisor.view.state == "backing_off"


async def test_silence_under_load_is_looked_into_and_bytes_are_no_silence(
    stage, clock, monkeypatch
):
    it = stage()
    await clock.advance(1)
    client = it.supervisor.client
    monkeypatch.setattr(type(client), "running", property(lambda _: 1))
    for _ in range(20):
        client.received_bytes += 10
        await clock.advance(watch.WATCH_SECONDS)
    assert "canary" not in it.kind.looks
    await clock.advance(watch.SILENCE_SECONDS + 2 * watch.WATCH_SECONDS)
    assert it.kind.looks.count("canary") == 1
    it.kind.is_well = False
    await clock.advance(watch.SILENCE_SECONDS + 2 * watch.WATCH_SECONDS)
    assert it.supervisor.view.state != "ready"
    assert it.runs[0].orders == ["kill", "gone"]


async def test_a_short_pause_of_an_idle_engine_is_survived(stage, clock):
    it = stage()
    await clock.advance(1)

    async def look(client):
        raise EngineError("no answer in 5 s")

    it.kind.look = look
    await clock.advance(watch.WATCH_SECONDS)
    assert it.kind.looks[-1] == "canary"
    assert it.supervisor.view.state == "ready"


async def test_models_that_come_and_go_are_published(stage, clock):
    it = stage()
    await clock.advance(1)
    it.kind.models = others = (replace(it.kind.models[0], id=ModelId("b")),)
    await clock.advance(watch.WATCH_SECONDS)
    assert it.supervisor.view.models == others


async def test_a_first_sign_withdraws_it_and_a_token_brings_it_back(stage, clock):
    it = stage()
    await clock.advance(1)
    it.kind.is_unwell = EngineError("/health answered 503")
    it.kind.computes.clear()
    it.supervisor.suspect("stream broke")
    await clock.advance(0)
    view = it.supervisor.view
    assert (view.state, view.models, view.slots) == ("suspect", (), 0)
    assert "503" in view.reason
    it.kind.computes.set()
    await clock.advance(0)
    assert it.supervisor.view.state == "ready"
    assert it.supervisor.view.models == it.kind.models
    assert it.supervisor.view.reason is None


async def test_a_first_sign_that_proves_true_ends_it(stage, clock):
    it = stage()
    await clock.advance(1)
    it.kind.is_well = False
    it.supervisor.suspect("stream broke")
    await clock.advance(0)
    assert it.states[-3:] == ["suspect", "backing_off", "backing_off"]
    assert it.runs[0].orders == ["kill", "gone"]


@pytest.mark.parametrize(("bytes_meanwhile", "state"), [(10, "ready"), (0, "backing_off")])
async def test_one_too_busy_for_a_token_of_ours_is_alive_while_bytes_come_for_others(
    stage, clock, monkeypatch, bytes_meanwhile, state
):
    it = stage()
    await clock.advance(1)
    client = it.supervisor.client
    monkeypatch.setattr(type(client), "running", property(lambda _: 1))

    async def canary(_):
        client.received_bytes += bytes_meanwhile
        raise EngineSilent("no answer in 60 s")

    it.kind.canary = canary
    it.supervisor.suspect("a request failed")
    await clock.advance(0)
    assert it.supervisor.view.state == state


async def test_news_of_adapters_are_looked_at_while_it_has_requests(stage, clock, monkeypatch):
    it = stage()
    await clock.advance(1)
    monkeypatch.setattr(type(it.supervisor.client), "running", property(lambda _: 1))
    (model,) = it.kind.models
    it.kind.models = (model, replace(model, id=ModelId("pirate"), base=model.id))
    it.kind.faults = ("the adapter x is not served",)
    assert it.supervisor.adapt(("pirate",))
    await clock.advance(0)
    assert it.kind.orders == [("pirate",)]
    assert it.kind.looks[-1] == "look"
    assert [each.id for each in it.supervisor.view.models] == ["a", "pirate"]
    assert it.supervisor.view.faults == ("the adapter x is not served",)


async def test_what_needs_another_start_is_not_looked_at(stage, clock):
    it = stage()
    await clock.advance(1)
    looks = len(it.kind.looks)
    it.kind.is_adaptable = False
    assert not it.supervisor.adapt(("pirate",))
    await clock.advance(0)
    assert len(it.kind.looks) == looks
