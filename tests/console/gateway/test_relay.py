from __future__ import annotations

import asyncio
import json
import time

import pytest

from byoi_console.gateway.relay import Patience
from byoi_wire.messages import ResetCode


async def test_a_stream_passes_whole_and_is_booked(world):
    node = world.node()
    client = await world.client()
    client.send(world.chat())
    stream = await node.session.next_stream()
    assert stream.request["stream_options"] == {"include_usage": True}
    stream.stream_all("a", "b")
    status, headers, body = await client.answer()
    assert status == 200
    assert headers["content-type"].startswith("text/event-stream")
    assert headers["x-request-id"].startswith("req_")
    usage_event = stream.STOP.split(b"\n\n")[1] + b"\n\n"
    whole = stream.ROLE + world.event(content="a") + world.event(content="b") + stream.STOP
    assert body == whole.replace(usage_event, b"")
    (posting,) = await world.books.wait_for(1)
    assert (posting.outcome, posting.counted_by, posting.finish_reason) == (
        "complete",
        "engine",
        "stop",
    )
    assert (posting.usage.prompt_tokens, posting.usage.completion_tokens) == (7, 3)
    assert posting.delivered_events == 2


async def test_a_client_that_asks_for_usage_gets_it(world):
    node = world.node()
    client = await world.client()
    client.send(world.chat(stream_options={"include_usage": True}))
    (await node.session.next_stream()).stream_all("a")
    _, _, body = await client.answer()
    assert b'"prompt_tokens":7' in body


async def test_a_plain_answer_passes_untouched_with_its_length(world):
    node = world.node()
    client = await world.client()
    client.send(world.chat(stream=False))
    stream = await node.session.next_stream()
    told = {"object": "chat.completion", "usage": {"prompt_tokens": 1, "completion_tokens": 2}}
    stream.answer_json(told)
    status, headers, body = await client.answer()
    assert (status, json.loads(body)) == (200, told)
    assert headers["content-length"] == str(len(body))
    (posting,) = await world.books.wait_for(1)
    assert posting.usage.completion_tokens == 2


RETRIED = [
    ResetCode.REFUSED,
    ResetCode.ENGINE_ERROR,
    ResetCode.TIMED_OUT,
    ResetCode.LOST,
    ResetCode.INTERNAL,
]


@pytest.mark.parametrize("code", RETRIED)
@pytest.mark.parametrize("streams", [True, False])
@pytest.mark.parametrize("point", ["before the head", "after the head", "after the role"])
async def test_a_node_that_fails_before_content_is_followed_silently(world, code, streams, point):
    nodes = {name: world.node(name) for name in ("node_1", "node_2")}
    client = await world.client()
    client.send(world.chat(stream=streams))
    first, second = await _first_and_other(nodes)
    if point != "before the head":
        first.answer_head(200, "text/event-stream" if streams else "application/json")
    if point == "after the role" and streams:
        first.data(first.ROLE)
    first.reset(code)
    stream = await second.session.next_stream()
    assert stream.head.attempt == 2
    assert stream.head.ticket != first.head.ticket
    if streams:
        stream.stream_all("x")
    else:
        stream.answer_json({"usage": {}})
    status, _, body = await client.answer()
    assert status == 200
    assert body.count(b'"role"') == (1 if streams else 0)
    booked = await world.books.wait_for(1 if code is ResetCode.REFUSED else 2)
    assert booked[-1].attempt == 2


async def _first_and_other(nodes):
    tasks = {asyncio.ensure_future(n.session.next_stream()): n for n in nodes.values()}
    done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in rest:
        task.cancel()
    await asyncio.wait(rest)
    (first,) = done
    (other,) = (tasks[task] for task in rest)
    return first.result(), other


@pytest.mark.parametrize("status", [500, 502, 503, 429])
async def test_a_node_s_5xx_is_followed_by_another_node(world, status):
    nodes = {name: world.node(name) for name in ("node_1", "node_2")}
    client = await world.client()
    client.send(world.chat())
    first, second = await _first_and_other(nodes)
    first.answer_json({"error": {"message": "secret internals"}}, status)
    (await second.session.next_stream()).stream_all("x")
    assert (await client.answer())[0] == 200


async def test_a_node_s_4xx_is_the_answer(world):
    node = world.node()
    client = await world.client()
    client.send(world.chat())
    told = {"error": {"message": "too long", "type": "x", "param": None, "code": "c"}}
    (await node.session.next_stream()).answer_json(told, 400)
    status, _, body = await client.answer()
    assert (status, json.loads(body)) == (400, told)
    (posting,) = await world.books.wait_for(1)
    assert posting.outcome == "failed"


async def test_without_another_node_a_failure_is_503_with_retry_after(world):
    node = world.node()
    client = await world.client()
    client.send(world.chat())
    (await node.session.next_stream()).reset(ResetCode.ENGINE_ERROR)
    status, headers, body = await client.answer()
    assert status == 503
    assert headers["retry-after"] == "5"
    assert json.loads(body)["error"]["code"] == "engine_error"


async def test_a_request_that_two_engines_died_of_is_shown_to_no_third(world):
    nodes = [world.node(f"node_{n}") for n in range(3)]
    for node in nodes:
        node.session.auto = lambda stream: stream.reset(ResetCode.ENGINE_ERROR)
    status, _, body = await world.ask(world.chat())
    assert status == 503
    assert json.loads(body)["error"]["code"] == "engine_error"
    assert sum(len(node.session.opened) for node in nodes) == 2


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (ResetCode.LOST, "upstream_lost"),
        (ResetCode.ENGINE_ERROR, "engine_error"),
        (ResetCode.TIMED_OUT, "upstream_timeout"),
        (ResetCode.REFUSED, "node_unavailable"),
        (ResetCode.INTERNAL, "upstream_error"),
    ],
)
async def test_a_cut_after_content_ends_with_one_error_event(world, code, told):
    node = world.node()
    world.node("node_2")
    client = await world.client()
    client.send(world.chat())
    nodes = {n: world.registry.node(n) for n in ("node_1", "node_2")}
    stream, _ = await _first_and_other(nodes)
    stream.answer_head()
    stream.say("a")
    stream.data(b'data: {"torn')
    stream.reset(code)
    status, _, body = await client.answer()
    assert status == 200
    events = body.split(b"\n\n")
    assert events[0] + b"\n\n" == world.event(content="a")
    error = json.loads(events[1].removeprefix(b"data: "))["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["code"] == told
    assert events[2:] == [b""]
    (posting,) = await world.books.wait_for(1)
    assert (posting.outcome, posting.error_code) == ("failed", told)
    assert posting.usage.completion_tokens == 1
    client.send(world.get(b"/v1/models"))
    assert (await client.answer())[0] == 200
    assert node


async def test_the_responses_dialect_ends_with_its_own_error_event(world):
    node = world.node()
    client = await world.client()
    client.send(world.post(b"/v1/responses", {"model": "tiny", "input": "x", "stream": True}))
    stream = await node.session.next_stream()
    stream.answer_head()
    stream.data(b'event: response.created\ndata: {"type":"response.created"}\n\n')
    delta = b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta"}\n\n'
    stream.data(delta)
    stream.reset(ResetCode.ENGINE_ERROR)
    _, _, body = await client.answer()
    last = body.rstrip().split(b"\n\n")[-1]
    assert last.startswith(b"event: error\ndata: {")
    assert b'"code": "engine_error"' in last


async def test_the_responses_dialect_is_complete_with_its_last_event(world):
    node = world.node()
    client = await world.client()
    client.send(world.post(b"/v1/responses", {"model": "tiny", "input": "x", "stream": True}))
    stream = await node.session.next_stream()
    told = {"type": "response.completed", "response": {"usage": {"output_tokens": 5}}}
    block = b"event: response.completed\ndata: %b\n\n" % json.dumps(told).encode()
    stream.answer_head()
    stream.data(block)
    stream.end()
    assert (await client.answer())[2] == block
    (posting,) = await world.books.wait_for(1)
    assert posting.usage.completion_tokens == 5


@pytest.mark.parametrize(
    "hostile",
    [
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"<html>\n\n",
        b"data: a\0b\n\n",
        b"data: \xff\xfe\n\n",
        b"data: x\nset-cookie: y\n\n",
        b"data: " + b"x" * (1024 * 1024) + b"\n\n",
        b"x" * (1024 * 1024 + 1),
    ],
)
async def test_bytes_that_are_no_events_end_the_stream_and_the_node_s_part(world, hostile):
    node = world.node()
    client = await world.client()
    client.send(world.chat())
    stream = await node.session.next_stream()
    stream.answer_head()
    stream.say("a")
    await asyncio.sleep(0)
    stream.data(hostile)
    _, _, body = await client.answer()
    assert body.startswith(world.event(content="a"))
    assert b"upstream_error" in body
    assert hostile[:20] not in body
    assert await node.session.reset_of(stream) is ResetCode.INTERNAL


async def test_an_end_without_done_is_no_complete_answer(world):
    node = world.node()
    client = await world.client()
    client.send(world.chat())
    stream = await node.session.next_stream()
    stream.answer_head()
    stream.say("a")
    stream.end()
    _, _, body = await client.answer()
    assert b"upstream_error" in body


async def test_a_client_that_resets_is_a_reset_at_the_node(world):
    node = world.node()
    client = await world.client()
    client.send(world.chat())
    stream = await node.session.next_stream()
    stream.answer_head()
    stream.say("a", "b")
    await client.head()
    client.abort()
    assert await node.session.reset_of(stream) is ResetCode.CANCELLED
    (posting,) = await world.books.wait_for(1)
    assert (posting.outcome, posting.usage.completion_tokens) == ("cancelled", 2)


@pytest.mark.parametrize("streams", [True, False])
async def test_a_client_that_closes_while_it_waits_is_noticed_within_a_second(
    world, helper, streams
):
    node = world.node()

    async def close():
        client = await world.client()
        client.send(world.chat(stream=streams))
        stream = await node.session.next_stream()
        return await closed_until_reset(client, node, stream)

    await helper("promise").kept(1.0, close)


async def test_a_client_that_closes_in_mid_stream_is_noticed_within_a_second(world, helper):
    node = world.node()

    async def close():
        client = await world.client()
        client.send(world.chat())
        stream = await node.session.next_stream()
        stream.answer_head()
        stream.say("a")
        await client.head()
        await client.chunk()
        return await closed_until_reset(client, node, stream)

    await helper("promise").kept(1.0, close)


async def closed_until_reset(client, node, stream):
    began = time.monotonic()
    client.close()
    assert await node.session.reset_of(stream) is ResetCode.CANCELLED
    return time.monotonic() - began


@pytest.mark.parametrize("streams", [True, False])
async def test_a_half_closed_client_gets_its_answer(world, streams):
    node = world.node()
    client = await world.client()
    client.send(world.chat(stream=streams))
    client.writer.write_eof()
    stream = await node.session.next_stream()
    await asyncio.sleep(0.3)
    if streams:
        stream.answer_head()
        stream.say("a")
        await asyncio.sleep(0.3)
        stream.data(stream.STOP)
        stream.end()
    else:
        stream.answer_json({"usage": {}})
    status, _, body = await client.answer()
    assert status == 200
    assert (b"[DONE]" in body) is streams
    assert await client.ended() == b""


async def test_a_link_lost_before_content_gives_way_to_another_node(world):
    nodes = {name: world.node(name) for name in ("node_1", "node_2")}
    client = await world.client()
    client.send(world.chat())
    first, second = await _first_and_other(nodes)
    first.session.connected = False
    first.handler.link_lost()
    (await second.session.next_stream()).stream_all("x")
    assert (await client.answer())[0] == 200
    assert first.resets[0][0] is ResetCode.CANCELLED


async def test_a_link_lost_without_another_node_waits_for_it(world):
    node = world.node()
    client = await world.client()
    client.send(world.chat())
    stream = await node.session.next_stream()
    node.session.connected = False
    stream.handler.link_lost()
    await asyncio.sleep(0)
    node.session.connected = True
    stream.handler.link_resumed()
    stream.stream_all("x")
    assert (await client.answer())[0] == 200
    assert len(node.session.opened) == 1


async def test_a_stream_lost_before_content_is_asked_anew_of_the_only_node(world):
    node = world.node()
    client = await world.client()
    client.send(world.chat())
    (await node.session.next_stream()).reset(ResetCode.LOST)
    again = await node.session.next_stream()
    assert again.head.attempt == 2
    again.stream_all("x")
    assert (await client.answer())[0] == 200


async def test_a_link_lost_after_content_goes_on_once_it_is_back(world):
    node = world.node()
    world.node("node_2")
    nodes = {n: world.registry.node(n) for n in ("node_1", "node_2")}
    client = await world.client()
    client.send(world.chat())
    stream, other = await _first_and_other(nodes)
    stream.answer_head()
    stream.say("a")
    await client.head()
    stream.handler.link_lost()
    await asyncio.sleep(0)
    stream.handler.link_resumed()
    stream.say("b")
    stream.data(stream.STOP)
    stream.end()
    assert not other.session.opened
    assert node
    body = await client.rest()
    assert b'"b"' in body


async def test_a_node_that_comes_in_time_serves_the_waiting_request(make_world):
    async with make_world(Patience(candidate=5)) as world:
        node = world.node()
        world.registry.remove(node.node_id, node)
        client = await world.client()
        client.send(world.chat())
        await asyncio.sleep(0.05)
        late = world.node("node_2")
        (await late.session.next_stream()).stream_all("x")
        assert (await client.answer())[0] == 200


async def test_a_silent_node_commits_to_comments_and_still_is_followed(make_world):
    async with make_world(Patience(commit=0.05, keep_alive=0.05, candidate=0.05)) as world:
        nodes = {name: world.node(name) for name in ("node_1", "node_2")}
        client = await world.client()
        client.send(world.chat())
        first, second = await _first_and_other(nodes)
        status, _ = await client.head()
        assert status == 200
        assert await client.chunk() == b": keep-alive\n\n"
        first.reset(ResetCode.ENGINE_ERROR)
        (await second.session.next_stream()).stream_all("x")
        body = await client.rest()
        assert b"[DONE]" in body


async def test_after_comments_a_failure_is_an_error_event(make_world):
    async with make_world(Patience(commit=0.05, keep_alive=0.05, candidate=0.05)) as world:
        node = world.node()
        client = await world.client()
        client.send(world.chat())
        stream = await node.session.next_stream()
        await client.head()
        stream.reset(ResetCode.ENGINE_ERROR)
        body = await client.rest()
        assert b'"engine_error"' in body


async def test_a_node_that_says_nothing_for_too_long_is_given_up(make_world):
    bounds = Patience(commit=0.05, keep_alive=0.05, first_token=0.1, candidate=0.05)
    async with make_world(bounds) as world:
        node = world.node()
        _, _, body = await world.ask(world.chat())
        assert b"upstream_timeout" in body
        assert node.session.opened[0].resets[0][0] is ResetCode.CANCELLED


async def test_a_slow_reader_holds_its_node_back(world):
    node = world.node()
    client = await world.client()
    client.writer.transport.pause_reading()
    client.send(world.chat())
    stream = await node.session.next_stream()
    stream.answer_head()
    sent = 0
    block = world.event(content="x" * 15_000)
    while sent - stream.consumed < 512 * 1024 and sent < 64 * 1024 * 1024:
        stream.data(block)
        sent += len(block)
        await asyncio.sleep(0)
    assert sent - stream.consumed >= 512 * 1024
    client.writer.transport.resume_reading()
    stream.data(stream.STOP)
    stream.end()
    _, _, body = await client.answer()
    assert body.endswith(b"data: [DONE]\n\n")
    assert body.count(block) * len(block) == sent


async def test_a_reader_that_never_reads_is_cut(make_world):
    from byoi_console.gateway.connection import Times

    async with make_world(times=Times(stall=0.1)) as world:
        node = world.node()
        client = await world.client()
        client.writer.transport.pause_reading()
        client.send(world.chat())
        stream = await node.session.next_stream()
        stream.answer_head()
        block = world.event(content="x" * 15_000)
        sent = 0
        while sent - stream.consumed < 300 * 1024 and not stream.resets:
            stream.data(block)
            sent += len(block)
            await asyncio.sleep(0)
        assert await node.session.reset_of(stream) is ResetCode.CANCELLED


async def test_a_large_request_waits_for_room_and_may_be_answered_before_its_end(world):
    node = world.node()
    node.session.room = 100_000
    client = await world.client()
    client.send(world.chat(messages=[{"role": "user", "content": "x" * 300_000}]))
    async with asyncio.timeout(60):
        while not node.session.opened or len(node.session.opened[0].body) < 100_000:
            await asyncio.sleep(0.01)
    stream = node.session.opened[0]
    assert not stream.has_ended
    stream.stream_all("early")
    assert (await client.answer())[0] == 200
    assert stream.resets[0][0] is ResetCode.NO_ERROR


async def test_a_piece_goes_on_in_the_turn_in_which_it_comes(world):
    node = world.node()
    client = await world.client()
    client.send(world.chat())
    stream = await node.session.next_stream()
    stream.answer_head()
    stream.say("a")
    stream.data(world.event(content="b") + world.event(content="c"))
    await client.head()
    assert await client.chunk() == world.event(content="a")
    assert await client.chunk() == world.event(content="b") + world.event(content="c")


async def test_every_place_at_a_node_is_given_back(world):
    node = world.node()
    node.session.auto = lambda stream: stream.stream_all("x")
    for _ in range(3):
        await world.ask(world.chat())
    assert world.registry.facts(node.node_id).in_flight == 0
    assert world.front.active == 0


HASTY = Patience(commit=0.05, keep_alive=0.05, first_token=0.1, candidate=0.05)


@pytest.mark.parametrize("load_seconds", [30.0, None])
async def test_a_stream_waits_for_a_load_behind_comments_longer_than_for_a_first_token(
    make_world, load_seconds
):
    async with make_world(HASTY) as world:
        node = world.node(is_loaded=False, load_seconds=load_seconds)
        client = await world.client()
        client.send(world.chat())
        stream = await node.session.next_stream()
        status, headers = await client.head()
        assert (status, headers["content-type"][:17]) == (200, "text/event-stream")
        assert [await client.chunk() for _ in range(6)] == [b": keep-alive\n\n"] * 6
        stream.stream_all("x")
        assert (await client.rest()).endswith(b"data: [DONE]\n\n")


async def test_a_model_that_was_unloaded_just_before_the_request_came_is_waited_for_too(make_world):
    async with make_world(HASTY) as world:
        node = world.node()
        offer = world.registry.candidates("tiny", "org_1")[0].model
        unloaded = offer.model_copy(update={"is_loaded": False, "load_seconds": 30.0})
        told = world.registry.facts(node.node_id).advertise.model_copy(
            update={"models": (unloaded,)}
        )
        # Told as the request comes: later the time for a first token may be over.
        node.session.auto = lambda _: world.registry.update(node.node_id, told)
        client = await world.client()
        client.send(world.chat())
        stream = await node.session.next_stream()
        await client.head()
        assert [await client.chunk() for _ in range(6)] == [b": keep-alive\n\n"] * 6
        stream.stream_all("x")
        assert b"[DONE]" in await client.rest()


async def test_a_load_that_takes_far_too_long_is_given_up(make_world):
    async with make_world(HASTY._replace(load=0.1)) as world:
        node = world.node(is_loaded=False)
        _, _, body = await world.ask(world.chat())
        assert b"upstream_timeout" in body
        assert node.session.opened[0].resets[0][0] is ResetCode.CANCELLED


@pytest.mark.parametrize("streams", [True, False])
async def test_a_load_that_fails_after_long_is_followed_by_another_node(make_world, streams):
    async with make_world(HASTY._replace(failover=0.1)) as world:
        node = world.node(is_loaded=False, load_seconds=5.0)
        client = await world.client()
        client.send(world.chat(streams))
        stream = await node.session.next_stream()
        await asyncio.sleep(0.2)  # past the time for failovers, which no load counts towards
        other = world.node("node_2", is_loaded=False)
        stream.reset(ResetCode.REFUSED, "engine_not_ready")
        following = await other.session.next_stream()
        if streams:
            following.stream_all("x")
        else:
            following.answer_json({"choices": []})
        status, _, body = await client.answer()
        assert status == 200
        assert (b"[DONE]" in body) is streams
        postings = await world.books.wait_for(1)
        assert [posting.node_id for posting in postings] == ["node_2"]


async def test_a_load_that_fails_everywhere_is_one_clear_error(make_world):
    async with make_world(HASTY) as world:
        node = world.node(is_loaded=False)
        plain, stream = await world.client(), await world.client()
        plain.send(world.chat(stream=False))
        waiting = await node.session.next_stream()
        waiting.reset(ResetCode.REFUSED, "engine_not_ready")
        status, headers, body = await plain.answer()
        assert (status, headers["retry-after"]) == (503, "5")
        assert json.loads(body)["error"]["code"] == "node_unavailable"
        stream.send(world.chat())
        waiting = await node.session.next_stream()
        assert (await stream.head())[0] == 200
        assert await stream.chunk() == b": keep-alive\n\n"
        waiting.reset(ResetCode.REFUSED, "engine_not_ready")
        events = [e for e in (await stream.rest()).split(b"\n\n") if e and not e.startswith(b":")]
        assert len(events) == 1
        assert b'"node_unavailable"' in events[0]
