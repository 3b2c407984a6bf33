"""What the owner uses of his node, and how: before everybody else, and counted apart."""

from __future__ import annotations

import dataclasses
import itertools
import json

import pytest

from byoi_agent.availability.view import AvailabilityView
from byoi_agent.errors import RequestRefused
from byoi_agent.node import advertise
from byoi_agent.serving.local_stream import LocalStream
from byoi_agent.serving.neighbours import Surroundings
from byoi_agent.serving.own_use import OwnUse
from byoi_agent.serving.precedence import GRACE_SECONDS, QUIET_SECONDS
from byoi_wire.ids import ModelId, NodeId, RequestId, StreamId
from byoi_wire.messages import OpenHead

CHAT = "/v1/chat/completions"


class Owner:
    """The owner's programs at a node."""

    def __init__(self, node) -> None:
        self.node = node
        self.use = OwnUse()
        self._around = Surroundings(
            NodeId("node"), node.engine, self.use, node.clock, b"own", is_own=True
        )
        self._ids = itertools.count(1)

    def open(self, body, model="small"):
        raw, stream, number = json.dumps(body).encode(), LocalStream(), next(self._ids)
        head = OpenHead(
            request_id=RequestId(f"own_{number}"),
            attempt=1,
            ticket="",
            tenant="owner",
            path=CHAT,
            model=ModelId(model),
            deadline_seconds=600.0,
            body_bytes=len(raw),
        )
        handler = self.node.dispatcher.accept_own(stream, StreamId(number), head, self._around)
        handler.data_received(raw)
        handler.end_received(b"")
        return handler, stream


@pytest.fixture
async def owner(node):
    node.board.update(engines=node.engine.views)
    return Owner(node)


def own_chat(say, content="mine", **fields):
    return say.chat(messages=[{"role": "user", "content": content}], **fields)


def asked(node):
    """The last word of each prompt that the engine got, in order."""
    return [request.json["messages"][-1]["content"].split()[-1] for request in node.engine.requests]


async def talking(node, say):
    """A guest whose answer has begun."""
    handler, request = await node.ask()
    request.head()
    request.events(say.word("Hi"))
    return handler, request


async def test_with_a_free_slot_nobody_is_moved(node, owner, say):
    await talking(node, say)
    _, stream = owner.open(own_chat(say))
    await say.turns()
    assert asked(node) == ["question", "mine"]
    assert node.resets == []
    request = node.engine.requests[-1]
    request.head()
    request.events(say.word("yes"), say.finish(), say.usage(), say.DONE)
    await say.turns()
    assert stream.head.status == 200
    assert stream.take()[0].endswith(say.DONE)
    assert stream.is_over
    assert stream.cut is None


async def test_a_guest_that_has_not_begun_gives_way_at_once_and_goes_elsewhere(node, owner, say):
    await node.ask()
    await talking(node, say)
    owner.open(own_chat(say))
    await say.turns()
    assert [request.exchange.is_aborted for request in node.engine.requests] == [True, False, False]
    assert asked(node)[-1] == "mine"
    assert [reset[0] for reset in node.resets] == ["HANDED_BACK"]


async def test_the_youngest_answer_gives_way_after_a_moment(node, owner, say):
    await talking(node, say)
    _, youngest = await talking(node, say)
    owner.open(own_chat(say))
    await say.turns()
    assert not youngest.exchange.is_aborted
    await node.clock.advance(GRACE_SECONDS)
    assert youngest.exchange.is_aborted
    assert asked(node) == ["question", "question", "mine"]
    assert node.record.error_code == "handed_back"
    assert node.record.request_id.startswith("req-"), "the owner's own is on no record"


async def test_a_guest_that_ends_by_itself_in_time_keeps_the_others_their_answers(node, owner, say):
    _, request = await talking(node, say)
    _, other = await talking(node, say)
    owner.open(own_chat(say))
    await say.turns()
    request.events(say.finish(), say.usage(), say.DONE)
    await node.clock.advance(GRACE_SECONDS)
    assert not other.exchange.is_aborted
    assert asked(node)[-1] == "mine"


async def test_guests_that_wait_stay_behind_until_the_owner_has_been_quiet(node, owner, say):
    node.set_engine(slots=1)
    await talking(node, say)
    node.open(say.chat())
    handler, _ = owner.open(own_chat(say))
    await say.turns()
    await node.clock.advance(GRACE_SECONDS)
    assert asked(node) == ["question", "mine"]
    handler.reset_received(1, "")
    await say.turns()
    await node.clock.advance(QUIET_SECONDS - 2)
    assert asked(node) == ["question", "mine"]
    await node.clock.advance(3)
    assert asked(node) == ["question", "mine", "question"]


async def test_others_hear_of_fewer_slots_meanwhile_and_of_their_own_requests_alone(
    node, owner, say
):
    assert node.board.offer.slots == 2
    handler, _ = owner.open(own_chat(say))
    await say.turns()
    assert node.board.offer.slots == 1
    assert node.board.view.load.running == node.board.view.load.own_running == 1
    assert advertise.status(node.board.view).running == 0
    handler.reset_received(1, "")
    await say.turns()
    await node.clock.advance(QUIET_SECONDS + 1)
    assert node.board.offer.slots == 2


async def test_one_slot_is_left_to_wait_for_on_a_node_that_the_owner_uses_up(node, owner, say):
    for _ in range(3):
        owner.open(own_chat(say))
    await say.turns()
    assert (node.board.offer.slots, node.board.offer.queue) == (1, 1)
    assert node.board.view.held == {"engine": 3}


async def test_a_node_that_serves_nobody_serves_its_owner(node, owner, say):
    away = AvailabilityView(state="yield", code="paused", reason="paused")
    node.board.update(availability=away)
    node.open(say.chat())
    owner.open(own_chat(say))
    await say.turns()
    assert node.resets == [("REFUSED", "not_serving")]
    assert asked(node) == ["mine"]


async def test_handing_everything_back_leaves_the_owners_own_alone(node, owner, say):
    await talking(node, say)
    owner.open(own_chat(say))
    await say.turns()
    node.dispatcher.hand_back("fullscreen")
    guest, own = node.engine.requests
    assert guest.exchange.is_aborted
    assert not own.exchange.is_aborted


async def test_an_engine_that_knows_priorities_takes_the_owner_beyond_its_slots(node, owner, say):
    node.engine.extra_fields = frozenset({"priority"})
    node.engine.view = dataclasses.replace(node.engine.view, own_seats=1)
    await talking(node, say)
    await talking(node, say)
    owner.open(own_chat(say))
    await say.turns()
    guest, _, own = node.engine.requests
    assert own.json["priority"] < 0
    assert "priority" not in guest.json
    await node.clock.advance(1)
    assert node.resets == []


async def test_a_node_that_stops_takes_nothing_new_of_the_owner_either(idle_node, say):
    with pytest.raises(RequestRefused, match="draining"):
        Owner(idle_node).open(own_chat(say))


async def test_what_the_owner_uses_is_counted_apart(node, owner, say):
    owner.open(own_chat(say))
    await say.turns()
    request = node.engine.requests[-1]
    request.head()
    request.events(say.word("yes"), say.finish(), say.usage(9, 2), say.DONE)
    await say.turns()
    owner.open(own_chat(say))
    await say.turns()
    node.engine.requests[-1].die()
    await say.turns()
    view = owner.use.view
    assert (view.requests, view.failed) == (2, 1)
    assert (view.prompt_tokens, view.completion_tokens) == (9, 2)
    assert node.records == []
