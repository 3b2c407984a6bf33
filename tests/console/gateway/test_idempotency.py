from __future__ import annotations

import asyncio
import json

import pytest

from byoi_console.gateway import idempotency
from byoi_console.gateway.idempotency import Name, Recordings
from byoi_wire.messages import ResetCode
from byoi_wire.requests import RequestInvalid

KEY = b"Idempotency-Key: k1\r\n"


async def test_a_repeated_request_is_answered_once_and_replayed(world):
    node = world.node()
    node.session.auto = lambda stream: stream.stream_all("a", "b")
    first = await world.ask(world.chat(headers=KEY))
    second = await world.ask(world.chat(headers=KEY))
    assert first[2] == second[2]
    assert second[1]["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first[1]
    assert first[1]["x-request-id"] != second[1]["x-request-id"]
    assert len(node.session.opened) == 1
    assert len(await world.books.wait_for(1)) == 1


async def test_plain_answers_are_replayed_as_well(world):
    node = world.node()
    node.session.auto = lambda stream: stream.answer_json({"usage": {}, "id": "x"})
    first = await world.ask(world.chat(stream=False, headers=KEY))
    second = await world.ask(world.chat(stream=False, headers=KEY))
    assert first[2] == second[2]
    assert len(node.session.opened) == 1


async def test_one_who_asks_meanwhile_gets_the_same_stream(world):
    node = world.node()
    one, two = await world.client(), await world.client()
    one.send(world.chat(headers=KEY))
    stream = await node.session.next_stream()
    stream.answer_head()
    stream.say("a")
    await one.head()
    two.send(world.chat(headers=KEY))
    await two.head()
    assert await two.chunk() == world.event(content="a")
    stream.data(stream.STOP)
    stream.end()
    for client in (one, two):
        rest = await client.rest()
        assert rest.endswith(b"[DONE]\n\n")
    assert len(node.session.opened) == 1


async def test_the_answer_goes_on_for_the_second_when_the_first_leaves(world):
    node = world.node()
    one, two = await world.client(), await world.client()
    one.send(world.chat(headers=KEY))
    stream = await node.session.next_stream()
    stream.answer_head()
    stream.say("a")
    await one.head()
    two.send(world.chat(headers=KEY))
    await two.head()
    one.abort()
    await asyncio.sleep(0.05)
    assert not stream.resets
    stream.data(stream.STOP)
    stream.end()
    body = await two.rest()
    assert b"[DONE]" in body
    (posting,) = await world.books.wait_for(1)
    assert posting.outcome == "complete"


async def test_when_both_leave_the_node_is_told(world):
    node = world.node()
    one, two = await world.client(), await world.client()
    one.send(world.chat(headers=KEY))
    stream = await node.session.next_stream()
    stream.answer_head()
    stream.say("a")
    await one.head()
    two.send(world.chat(headers=KEY))
    await two.head()
    one.abort()
    two.abort()
    assert await node.session.reset_of(stream) is ResetCode.CANCELLED
    again = await world.client()
    again.send(world.chat(headers=KEY))
    (await node.session.next_stream()).stream_all("new")
    assert b"new" in (await again.answer())[2]


async def test_another_body_under_the_same_key_is_refused(world):
    node = world.node()
    node.session.auto = lambda stream: stream.stream_all("a")
    await world.ask(world.chat(headers=KEY))
    status, _, body = await world.ask(world.chat(headers=KEY, temperature=1))
    assert status == 400
    assert json.loads(body)["error"]["code"] == "idempotency_key_reused"


async def test_another_api_key_has_its_own_names(world):
    node = world.node()
    node.session.auto = lambda stream: stream.stream_all("a")
    await world.ask(world.chat(headers=KEY))
    _, headers, _ = await world.ask(world.chat(headers=KEY, key="other"))
    assert "idempotent-replayed" not in headers
    assert len(node.session.opened) == 2


async def both_wait(world):
    """For the one answer."""
    (recording,) = world.gateway._recordings._kept.values()
    while len(recording._readers) < 2:
        await asyncio.sleep(0.001)


async def test_failures_are_told_to_all_and_made_anew(world):
    node = world.node()
    one, two = await world.client(), await world.client()
    one.send(world.chat(headers=KEY))
    stream = await node.session.next_stream()
    two.send(world.chat(headers=KEY))
    await both_wait(world)
    stream.reset(ResetCode.ENGINE_ERROR)
    assert (await one.answer())[0] == 503
    assert (await two.answer())[0] == 503
    node.session.auto = lambda stream: stream.stream_all("a")
    assert (await world.ask(world.chat(headers=KEY)))[0] == 200


async def test_a_fault_of_our_own_leaves_nobody_waiting(world, caplog):
    node = world.node()
    one, two = await world.client(), await world.client()
    one.send(world.chat(headers=KEY))
    stream = await node.session.next_stream()
    two.send(world.chat(headers=KEY))
    await both_wait(world)
    world.gateway._bookkeeper.book = None  # calling it is a TypeError
    stream.reset(ResetCode.LOST)
    assert (await one.answer())[0] == 500
    assert (await two.answer())[0] == 503
    assert "request failed" in caplog.text


async def test_torn_streams_are_made_anew(world):
    node = world.node()
    one = await world.client()
    one.send(world.chat(headers=KEY))
    stream = await node.session.next_stream()
    stream.answer_head()
    stream.say("a")
    stream.reset(ResetCode.LOST)
    assert b"upstream_lost" in (await one.answer())[2]
    node.session.auto = lambda stream: stream.stream_all("a")
    _, headers, _ = await world.ask(world.chat(headers=KEY))
    assert "idempotent-replayed" not in headers


@pytest.mark.parametrize("key", ["x" * 256, "a\tb", "\x80"])
async def test_keys_of_other_shapes_are_refused(key):
    with pytest.raises(RequestInvalid):
        Recordings(lambda: 0.0).find(Name("k", key), b"")


async def test_answers_are_forgotten_after_a_day():
    now = [0.0]
    recordings = Recordings(lambda: now[0])
    name = Name("k", "a")
    recording = recordings.start(name, b"f")
    recording.begin(200, ())
    recording.finish()
    recordings.ended(name, recording)
    assert recordings.find(name, b"f") is recording
    now[0] = 24 * 3600.0 + 1
    assert recordings.find(name, b"f") is None


async def test_large_answers_are_not_kept():
    recordings = Recordings(lambda: 0.0)
    name = Name("k", "a")
    recording = recordings.start(name, b"f")
    recording.begin(200, ())
    for _ in range(1025):
        recording.write(b"x" * 1024)
    recording.finish()
    recordings.ended(name, recording)
    assert recordings.find(name, b"f") is None


async def test_the_longest_unused_go_first(monkeypatch):
    monkeypatch.setattr(idempotency, "TOTAL_LIMIT_BYTES", 10 * 2048)
    recordings = Recordings(lambda: 0.0)
    for n in range(12):
        name = Name("k", str(n))
        recording = recordings.start(name, b"f")
        recording.begin(200, ())
        recording.write(b"x" * 1024)
        recording.finish()
        recordings.ended(name, recording)
        recordings.find(Name("k", "0"), b"f")
    assert recordings.find(Name("k", "0"), b"f") is not None
    assert recordings.find(Name("k", "1"), b"f") is None
    assert recordings.find(Name("k", "11"), b"f") is not None
