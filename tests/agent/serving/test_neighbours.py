from __future__ import annotations

import asyncio
import dataclasses

import pytest

from byoi_agent.serving.neighbours import Unmeasured
from byoi_agent.usage.outbox import OutboxFull
from byoi_wire.ids import ModelId, RecordId
from byoi_wire.messages import ResetCode

FIRST = RecordId("req-1", 1)


class Energy:
    """Ten joules for each request, told as soon as `gate` is open."""

    def __init__(self):
        self.told = []
        self.open = set()
        self.reason = None
        self.gate = asyncio.Event()
        self.gate.set()

    def refusal(self, model):
        return self.reason if model == "small" else None

    def begin(self, record_id, model):
        self.told.append(("begin", record_id, model))
        self.open.add(record_id)

    def stop(self, record_id):
        if record_id in self.open:
            self.told.append(("stop", record_id))

    async def end(self, record_id):
        await self.gate.wait()
        return self.forget(record_id)

    def forget(self, record_id):
        if record_id not in self.open:
            return None
        self.open.remove(record_id)
        return 10.0


@pytest.fixture
def energy(node):
    energy = Energy()
    node.dispatcher._around = dataclasses.replace(node.dispatcher._around, energy=energy)
    return energy


async def finish(say, request):
    request.head()
    request.events(say.word("Hi"), say.finish(), say.usage(), say.DONE)
    request.end()
    await say.turns()


async def test_a_record_has_what_its_request_took(node, say, energy):
    _, request = await node.ask()
    assert energy.told == [("begin", FIRST, ModelId("small"))]
    await finish(say, request)
    assert node.record.joules == 10.0
    assert energy.told[1:] == [("stop", FIRST)]
    assert energy.open == set()


async def test_energy_stops_when_the_client_leaves_and_is_recorded_all_the_same(node, say, energy):
    handler, request = await node.ask()
    request.head()
    request.events(say.word("Hi"))
    handler.reset_received(ResetCode.CANCELLED, "the client left")
    assert energy.told[-1] == ("stop", FIRST)
    await say.turns()
    assert (node.record.outcome, node.record.joules) == ("cancelled", 10.0)
    assert energy.open == set()


async def test_a_record_is_kept_also_when_its_energy_is_still_being_looked_at(node, say, energy):
    _, request = await node.ask()
    energy.gate.clear()
    await finish(say, request)
    assert "commit" not in node.names()
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        if task.get_name().startswith("request "):
            task.cancel()
    await say.turns()
    assert node.record.joules == 10.0
    assert energy.open == set()


async def test_what_the_engine_refuses_is_told_without_a_look(node, say, energy):
    _, request = await node.ask()
    energy.gate.clear()
    request.answer({"error": "busy"}, 503)
    await say.turns()
    assert node.names()[-1] == "reset"
    assert energy.open == set()


async def test_a_request_that_never_reached_the_engine_took_nothing(node, say, energy):
    handler = node.open({"model": "small"}, send=False, body_bytes=99)
    handler.reset_received(ResetCode.CANCELLED, "")
    await say.turns()
    assert node.record.joules is None
    assert energy.told == []


async def test_no_request_is_left_open_when_its_record_cannot_be_kept(node, say, energy):
    _, request = await node.ask()
    node.outbox.error = OutboxFull("full")
    await finish(say, request)
    assert energy.open == set()


async def test_a_request_that_cannot_even_be_ended_is_let_go(node, say, energy):
    _, request = await node.ask()
    node.outbox.error = ZeroDivisionError()
    energy.end = node.outbox.commit
    await finish(say, request)
    assert node.names()[-1] == "reset"
    assert energy.open == set()


async def test_below_its_cost_a_model_is_refused_at_the_door_without_a_record(node, say, energy):
    energy.reason = "below_marginal_cost"
    node.open({"model": "small"})
    await say.turns()
    assert node.log == [("reset", "REFUSED", "below_marginal_cost")]
    assert node.dispatcher.refused == {"below_marginal_cost": 1}


async def test_where_nothing_is_measured_nothing_is_told():
    nobody = Unmeasured()
    nobody.begin(FIRST, ModelId("small"))
    nobody.stop(FIRST)
    assert (nobody.refusal(ModelId("small")), nobody.forget(FIRST)) == (None, None)
    assert await nobody.end(FIRST) is None
