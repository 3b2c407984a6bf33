from __future__ import annotations

import asyncio
import dataclasses
import json

import pytest

from byoi_agent.engine.view import EngineView, ServedModel
from byoi_agent.serving.admission import Room
from byoi_agent.serving.rooms import askable, room_of
from byoi_wire.messages import ResetCode

LOADED = ServedModel("m", "m", ("/v1/chat/completions",), slots=4)
UNLOADED = ServedModel("m", "m", ("/v1/chat/completions",), is_loaded=False, slots=4)


@pytest.mark.parametrize(
    ("state", "models", "slots", "room"),
    [
        ("ready", (LOADED,), 4, Room(4, 8)),
        ("stopped", (UNLOADED,), 0, Room(0, 12)),
        ("asleep", (UNLOADED, UNLOADED), 0, Room(0, 12)),
        ("starting", (ServedModel("m", "m", (), is_loaded=False),), 0, Room(0, 8)),
        ("draining", (LOADED,), 4, Room()),
        ("failed", (), 0, Room()),
    ],
)
def test_room_is_where_somebody_may_run_or_wait_for_a_load(state, models, slots, room):
    view = EngineView(state, "vllm", models, slots)
    assert room_of(view, 8) == room
    assert bool(askable(view)) is (room != Room())


def ask(node, say, model, **changes):
    return node.open(say.chat(model=model), model=model, **changes)


def asked(node, key):
    return node.engine.engines[key].requests


async def answer(request, say):
    request.head()
    request.events(say.word("Hi"), say.finish(), say.usage(), say.DONE)
    request.end()
    await say.turns()


async def test_a_request_waits_for_its_model_and_runs_when_it_is_loaded(several, say):
    node = several
    node.show("big", "stopped")
    for _ in range(3):
        ask(node, say, "big")
    await say.turns()
    assert node.log == []
    assert node.engine.demands[-1] == ("big", 0, 3)
    node.show("big", "starting")
    await say.turns()
    assert node.log == []
    node.show("big", "ready")
    await say.turns()
    assert len(asked(node, "big")) == 2
    assert node.engine.demands[-1] == ("big", 2, 1)
    while any(not request.exchange.is_over for request in asked(node, "big")):
        await answer(next(r for r in asked(node, "big") if not r.exchange.is_over), say)
    assert [record.model for record in node.records] == ["big"] * 3
    assert node.engine.demands[-1] == ("big", 0, 0)


@pytest.mark.parametrize("state", ["failed", "backing_off", "stopped"])
async def test_who_waited_for_a_load_that_came_to_nothing_goes_back(several, say, state):
    node = several
    node.show("big", "starting")
    ask(node, say, "big")
    ask(node, say, "other")
    await say.turns()
    node.show("big", state, is_offered=False)
    await say.turns()
    assert node.resets == [("REFUSED", "engine_not_ready")]
    assert node.records == []
    ask(node, say, "big")
    assert node.resets == [("REFUSED", "engine_not_ready")] * 2
    assert len(asked(node, "other")) == 1
    assert node.engine.demands[-1] == ("big", 0, 0)


async def test_an_engine_that_is_taken_from_the_settings_gives_back_who_waited(several, say):
    node = several
    node.show("big", "starting")
    ask(node, say, "big")
    await say.turns()
    del node.engine.engines["big"], node.engine.faces["big"]
    node.board.update(engine=node.engine.view)
    await say.turns()
    assert node.resets == [("REFUSED", "engine_not_ready")]
    ask(node, say, "big")
    assert node.resets[1:] == [("REFUSED", "no_such_model")]


async def test_who_waits_goes_on_waiting_where_another_engine_has_the_model_now(several, say):
    node = several
    for _ in range(3):
        ask(node, say, "big")  # two run
    await say.turns()
    node.engine.homes["big"] = "other"
    node.engine.show("other", "starting", model="big")
    node.show("big", "draining", is_offered=False)
    await say.turns()
    assert node.resets == []
    assert sorted(node.engine.demands[-2:]) == [("big", 2, 0), ("other", 0, 1)]
    for request in asked(node, "big"):
        await answer(request, say)
    node.show("other", "ready", model="big")
    await say.turns()
    assert [len(asked(node, key)) for key in ("big", "other")] == [2, 1]
    await answer(asked(node, "other")[0], say)
    assert [record.outcome for record in node.records] == ["complete"] * 3


async def test_who_finds_the_other_engine_full_too_goes_back(several, say):
    node = several
    node.show("big", "starting")
    node.show("other", "starting", slots=0)
    for model in ("big", "other"):
        ask(node, say, model)
    node.engine.homes["big"] = "other"
    node.show("big", "draining", is_offered=False)
    await say.turns()
    assert node.resets == [("REFUSED", "over_capacity")]


async def test_who_has_a_slot_of_an_engine_that_goes_may_still_send_his_body(several, say):
    node = several
    body = json.dumps(say.chat(model="big")).encode()
    slow = node.open(body, model="big", send=False)
    face = node.engine.faces["big"]
    node.engine.faces["big"] = dataclasses.replace(face, state="draining", models=())
    node.board.update(engine=node.engine.view)
    await say.turns()
    assert node.resets == []
    slow.data_received(body)
    slow.end_received(b"")
    await say.turns()
    assert len(asked(node, "big")) == 1


async def test_a_full_queue_at_one_model_keeps_nobody_from_another(several, say):
    node = several
    for _ in range(5):
        ask(node, say, "big")  # two run, one waits, as the owner allows
    assert node.resets == [("REFUSED", "over_capacity")] * 2
    ask(node, say, "other")
    await say.turns()
    assert len(asked(node, "other")) == 1
    assert node.dispatcher.load == (3, 1)


async def test_one_engines_death_touches_its_own_requests_alone(several, say):
    node = several
    for model in ("big", "big", "big", "other"):
        ask(node, say, model)
    await say.turns()
    asked(node, "other")[0].head()
    node.show("big", "backing_off", is_offered=False)
    for request in asked(node, "big"):
        request.die()
    await say.turns()
    assert node.resets[0] == ("REFUSED", "engine_not_ready")
    assert {record.model for record in node.records} == {"big"}
    assert node.engine.engines["big"].suspicions == ["engine_error"] * 2
    assert node.engine.engines["other"].suspicions == []
    asked(node, "other")[0].events(say.word("Hi"), say.finish(), say.usage(), say.DONE)
    await say.turns()
    assert node.records[-1].outcome == "complete"


async def test_the_owners_slots_hold_for_all_engines_together(several, say):
    node = several
    node.board.update(slots=2)
    for model in ("big", "big", "other"):
        ask(node, say, model)
    await say.turns()
    assert node.dispatcher.load == (2, 1)
    assert asked(node, "other") == []
    await answer(asked(node, "big")[0], say)
    assert len(asked(node, "other")) == 1
    node.board.update(slots=None)
    ask(node, say, "big")
    assert node.dispatcher.load == (3, 0)


async def test_who_waits_for_a_load_may_leave_run_late_or_be_drained(several, say, clock):
    node = several
    node.show("big", "starting", slots=4)
    leaving = ask(node, say, "big")
    ask(node, say, "big", deadline_seconds=5.0)
    ask(node, say, "big")
    leaving.reset_received(ResetCode.CANCELLED, "")
    await clock.advance(6)
    assert node.resets == [("TIMED_OUT", "the deadline has passed")]
    assert node.engine.demands[-1] == ("big", 0, 1)
    async with asyncio.timeout(60):
        await node.dispatcher.drain(0)
    assert node.resets[-1] == ("REFUSED", "draining")


async def test_an_engine_is_idle_when_none_of_its_requests_runs_or_is_written_down(several, say):
    node = several
    ask(node, say, "big")
    await say.turns()
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        await node.dispatcher.idle("other")
        idle = tasks.create_task(node.dispatcher.idle("big"))
        node.outbox.gate.clear()
        await answer(asked(node, "big")[0], say)
        assert not idle.done()
        assert node.engine.demands[-1] == ("big", 1, 0)
        node.show("big", "starting")
        ask(node, say, "big")  # waits for the next start, which waits for this
        node.outbox.gate.set()
        await idle
