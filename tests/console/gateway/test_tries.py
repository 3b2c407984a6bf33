"""How often a request is tried, above all where owners take their machines back."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byoi_console.clock import wall_ms
from byoi_console.gateway.relay import Patience
from byoi_console.gateway.tries import ATTEMPTS_LIMIT, RECLAIMS_LIMIT, Tries
from byoi_wire.messages import Availability, ResetCode

FAILOVER = 60.0
PAUSED = Availability(serving=False, reason="paused by its owner", code="paused")


def error_of(body):
    return json.loads(body)["error"]


def hand_back(world, node, stream):
    """As a node does it: first it takes nothing new, then it gives back what it has."""
    world.registry.set_availability(node.node_id, PAUSED)
    stream.reset(ResetCode.HANDED_BACK, "the node's owner needs the machine")


@pytest.mark.parametrize("streams", [True, False])
@pytest.mark.parametrize("point", ["before the head", "after the head", "in the plain body"])
async def test_what_has_not_begun_goes_to_another_node_at_once(world, streams, point):
    first, second = world.node("node_1"), None
    client = await world.client()
    client.send(world.chat(stream=streams))
    stream = await first.session.next_stream()
    second = world.node("node_2")
    if point != "before the head":
        stream.answer_head(200, "text/event-stream" if streams else "application/json")
    if point == "in the plain body":
        stream.data(stream.ROLE if streams else b'{"half an answer')
    hand_back(world, first, stream)
    again = await second.session.next_stream()
    assert again.head.attempt == 2
    if streams:
        again.stream_all("x")
    else:
        again.answer_json({"whole": True, "usage": {}})
    status, _, body = await client.answer()
    assert status == 200
    assert b"half" not in body
    booked = await world.books.wait_for(2)
    assert [(one.outcome, one.error_code) for one in booked] == [
        ("failed", "node_reclaimed"),
        ("complete", None),
    ]
    assert booked[0].usage.completion_tokens == 0


async def test_a_node_whose_owner_comes_back_again_and_again_is_asked_after_a_steady_one(world):
    restless, steady = world.node("node_1", slots=16), world.node("node_2", slots=16)
    restless.session.auto = lambda stream: stream.reset(ResetCode.HANDED_BACK)
    steady.session.auto = lambda stream: stream.stream_all("x")
    for _ in range(2):
        while True:  # they take turns as long as nothing speaks against either
            before = len(restless.session.opened)
            assert (await world.ask(world.chat()))[0] == 200
            if len(restless.session.opened) > before:
                break
        world.now += 60.0
    before = len(restless.session.opened)
    for _ in range(8):
        assert (await world.ask(world.chat()))[0] == 200
    assert len(restless.session.opened) == before


async def test_owners_who_come_back_use_up_no_attempts(world):
    nodes = [world.node(f"node_{at}") for at in range(RECLAIMS_LIMIT + 1)]
    client = await world.client()
    client.send(world.chat())
    for _ in range(RECLAIMS_LIMIT):
        node, stream = await _first(nodes)
        hand_back(world, node, stream)
    _, stream = await _first(nodes)
    assert stream.head.attempt == RECLAIMS_LIMIT + 1
    stream.stream_all("x")
    assert (await client.answer())[0] == 200


async def test_an_owner_who_comes_back_is_no_death_of_an_engine(world):
    nodes = [world.node(f"node_{at}") for at in range(4)]
    for _ in range(2):
        client = await world.client()
        client.send(world.chat())
        for last in (False, True):
            _, stream = await _first(nodes)
            if last:
                stream.stream_all("x")
            else:
                stream.reset(ResetCode.HANDED_BACK)
        assert (await client.answer())[0] == 200


async def test_even_owners_without_end_come_to_an_end(world):
    node = world.node()
    node.session.auto = lambda stream: stream.reset(ResetCode.HANDED_BACK)
    status, headers, body = await world.ask(world.chat())
    assert (status, error_of(body)["code"]) == (503, "node_reclaimed")
    assert "Try again" in error_of(body)["message"]
    assert "retry-after" in headers
    assert len(node.session.opened) == RECLAIMS_LIMIT + 1


async def test_a_request_on_its_way_while_the_owner_closes_the_door_loses_no_attempt(world):
    nodes = [world.node(f"node_{at}") for at in range(8)]
    client = await world.client()
    client.send(world.chat())
    for _ in range(7):
        node, stream = await _first(nodes)
        world.registry.set_availability(node.node_id, PAUSED)
        stream.reset(ResetCode.REFUSED, "paused")
    _, stream = await _first(nodes)
    stream.stream_all("x")
    assert (await client.answer())[0] == 200
    (posting,) = await world.books.wait_for(1)
    assert posting.attempt == 8


async def test_a_request_finds_the_only_machine_just_taken_back(world):
    node = world.node()
    client = await world.client()
    client.send(world.chat())
    hand_back(world, node, await node.session.next_stream())
    status, headers, body = await client.answer()
    assert (status, error_of(body)["code"]) == (503, "node_reclaimed")
    assert headers["retry-after"] == "30"


@pytest.mark.parametrize("route", ["chat", "responses"])
async def test_a_stream_that_has_begun_and_cannot_go_on_ends_with_a_clear_error(world, route):
    node = world.node()
    client = await world.client()
    if route == "chat":
        client.send(world.chat(logprobs=True))
    else:
        client.send(world.post(b"/v1/responses", {"model": "tiny", "input": "x", "stream": True}))
    stream = await node.session.next_stream()
    stream.answer_head()
    if route == "chat":
        stream.say("hel")
    else:
        stream.data(b'data: {"type":"response.output_text.delta","delta":"hel"}\n\n')
    hand_back(world, node, stream)
    status, _, body = await client.answer()
    assert status == 200
    last = json.loads(body.split(b"data: ")[-1])
    error = last if route == "responses" else last["error"]
    assert error["code"] == "node_reclaimed"
    assert error["message"] == "The machine that was answering is its owner's again. Try again."
    (posting,) = await world.books.wait_for(1)
    assert (posting.error_code, posting.delivered_events) == ("node_reclaimed", 1)


async def test_a_paused_only_node_is_told_at_once(make_world):
    async with make_world(Patience(candidate=60)) as world:
        node = world.node()
        world.registry.set_availability(node.node_id, PAUSED)
        async with asyncio.timeout(60):
            status, headers, body = await world.ask(world.chat())
        assert (status, error_of(body)["code"]) == (503, "nodes_away")
        assert headers["retry-after"] == "30"
        assert not node.session.opened


@pytest.mark.parametrize(("seconds", "most"), [(90, 90), (9_000, 3600), (-5, 1)])
async def test_retry_after_is_when_the_pause_ends(world, seconds, most):
    node = world.node()
    until = wall_ms() + seconds * 1000
    world.registry.set_availability(node.node_id, PAUSED.model_copy(update={"until_ms": until}))
    _, headers, _ = await world.ask(world.chat())
    left_seconds = (until - wall_ms()) // 1000
    assert min(most, max(1, left_seconds)) <= int(headers["retry-after"]) <= most


async def test_a_model_of_an_away_node_is_not_unknown_beside_others(world):
    node = world.node("node_1", models=("tiny",))
    world.node("node_2", models=("other",))
    world.registry.set_availability(node.node_id, PAUSED)
    status, _, body = await world.ask(world.chat())
    assert (status, error_of(body)["code"]) == (503, "nodes_away")
    status, _, body = await world.ask(world.chat(model="never"))
    assert (status, error_of(body)["code"]) == (404, "model_not_found")


async def test_a_model_of_an_away_node_is_not_said_to_be_none(world):
    node = world.node("node_1", models=("tiny",))
    world.registry.set_availability(node.node_id, PAUSED)
    client = await world.client()
    client.send(world.get(b"/v1/models/tiny"))
    status, headers, body = await client.answer()
    assert (status, error_of(body)["code"]) == (503, "nodes_away")
    assert headers["retry-after"] == "30"
    client.send(world.get(b"/v1/models/never"))
    status, _, body = await client.answer()
    assert (status, error_of(body)["code"]) == (404, "model_not_found")


async def test_after_a_restart_a_paused_node_without_a_model_is_away(world):
    node = world.node(models=())
    world.registry.set_availability(node.node_id, PAUSED)
    status, _, body = await world.ask(world.chat())
    assert (status, error_of(body)["code"]) == (503, "nodes_away")


async def test_a_node_whose_link_is_broken_is_waited_for_beside_one_that_is_away(make_world):
    async with make_world(Patience(candidate=0.05)) as world:
        paused, cut = world.node("node_1"), world.node("node_2")
        world.registry.set_availability(paused.node_id, PAUSED)
        cut.session.connected = False
        status, _, body = await world.ask(world.chat())
        assert (status, error_of(body)["code"]) == (503, "no_node_available")


async def test_a_resumed_node_is_asked_again(world):
    node = world.node()
    world.registry.set_availability(node.node_id, PAUSED)
    assert (await world.ask(world.chat()))[0] == 503
    world.registry.set_availability(node.node_id, Availability(serving=True))
    node.session.auto = lambda stream: stream.stream_all("x")
    assert (await world.ask(world.chat()))[0] == 200


async def test_a_node_hears_who_asks(world):
    node = world.node()
    node.session.auto = lambda stream: stream.stream_all("x")
    await world.ask(world.chat())
    assert node.session.opened[0].head.org_id == "org_1"


async def _first(nodes):
    """The next node that got the request, and its stream."""
    tasks = {asyncio.ensure_future(node.session.next_stream()): node for node in nodes}
    done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in rest:
        task.cancel()
    await asyncio.wait(rest)
    (first,) = done
    return tasks[first], first.result()


def test_the_first_attempt_is_always_allowed():
    assert not Tries(0.0).is_spent(10_000.0, FAILOVER)


def test_four_failures_are_enough():
    tries = Tries(0.0)
    for at in range(ATTEMPTS_LIMIT):
        assert tries.has_attempts
        assert tries.begin(f"node_{at}") == at + 1
        tries.ended(f"node_{at}", may_return=False)
    assert not tries.has_attempts
    assert tries.is_spent(1.0, FAILOVER)


def test_an_owner_who_comes_back_uses_up_neither_an_attempt_nor_time():
    tries = Tries(0.0)
    for at in range(RECLAIMS_LIMIT):
        assert not tries.is_spent(at * 100.0, FAILOVER)
        tries.begin(f"node_{at}")
        tries.reclaimed(100.0)
    assert not tries.is_spent(RECLAIMS_LIMIT * 100.0, FAILOVER)
    tries.begin("node_last")
    tries.reclaimed(0.0)
    assert tries.is_spent(RECLAIMS_LIMIT * 100.0, FAILOVER)


def test_time_at_a_node_that_refused_does_not_count_and_other_time_does():
    tries = Tries(0.0)
    tries.begin("a")
    tries.excuse(500.0)
    assert not tries.is_spent(560.0, FAILOVER)
    assert tries.is_spent(560.1, FAILOVER)


def test_only_a_node_that_may_return_is_asked_again():
    tries = Tries(0.0)
    for name in ("cut", "broken"):
        tries.begin(name)
    tries.ended("cut", may_return=True)
    tries.ended("broken", may_return=False)
    assert tries.tried == {"cut", "broken"}
    assert tries.lost_for_good == {"broken"}


@given(st.lists(st.sampled_from(["failed", "refused", "reclaimed"]), max_size=60))
def test_no_request_is_tried_without_end(ends):
    tries = Tries(0.0)
    for at, end in enumerate(ends):
        if tries.is_spent(0.0, FAILOVER):
            break
        tries.begin(f"node_{at}")
        if end == "refused":
            tries.excuse(1.0)
        elif end == "reclaimed":
            tries.reclaimed(1.0)
    assert tries.number <= ATTEMPTS_LIMIT + RECLAIMS_LIMIT
