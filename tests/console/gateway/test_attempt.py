"""Attempts over real sessions: both ends' `Session`, joined frame by frame."""

from __future__ import annotations

import asyncio
import json

import pytest

from byoi_wire.aio.session import Session
from byoi_wire.messages import AnswerHead, ResetCode, Trailer


class Served:
    """A request at the node, as its session gives it."""

    def __init__(self):
        self.body = b""
        self.has_ended = False
        self.reset = None

    def head_received(self, head):
        raise AssertionError("a node gets no head")

    def data_received(self, data):
        self.body += data
        self.node.consumed(self.stream, len(data))

    def end_received(self, trailer):
        self.has_ended = True

    def reset_received(self, code, reason):
        self.reset = code

    def send_allowed(self):
        pass

    def link_lost(self):
        pass

    def link_resumed(self):
        pass


class Link:
    """Carries frames between two sessions, a loop turn at a time, while it is up."""

    def __init__(self):
        self.served = []
        self.console = Session()
        self.node = Session(accept=self._accept)
        self.is_up = False
        self.plug()

    def _accept(self, stream, head):
        served = Served()
        served.node, served.stream, served.head = self.node, stream, head
        self.served.append(served)
        return served

    def plug(self):
        self.is_up = True
        self.console.attach(self)
        self.node.attach(self)

    def unplug(self):
        self.is_up = False
        self.console.detach(self)
        self.node.detach(self)

    def poke(self, *, is_urgent):
        asyncio.get_running_loop().call_soon(self.carry)

    def poke_later(self):
        asyncio.get_running_loop().call_soon(self.carry)

    def carry(self):
        for here, there in ((self.console, self.node), (self.node, self.console)):
            while self.is_up and here.has_frames and (frames := here.take(2**16)):
                there.frames_received(frames)
                here.taken()

    async def request(self):
        async with asyncio.timeout(60):
            while not self.served or not self.served[-1].has_ended:
                await asyncio.sleep(0.001)
        return self.served[-1]


@pytest.fixture
def link(world):
    made = Link()
    node = world.node()
    node.session = made.console
    return made


SSE = AnswerHead(status=200, headers={"content-type": "text/event-stream"})


async def test_a_large_request_and_its_stream_pass_both_sessions(world, link):
    client = await world.client()
    client.send(world.chat(messages=[{"role": "user", "content": "x" * 1_000_000}]))
    served = await link.request()
    assert served.head.body_bytes == len(served.body)
    assert len(json.loads(served.body)["messages"][0]["content"]) == 1_000_000
    link.node.send_head(served.stream, SSE)
    for n in range(500):
        link.node.send(served.stream, world.event(content=str(n)))
    link.node.send(served.stream, b"data: [DONE]\n\n")
    link.node.end(served.stream, Trailer())
    _, _, body = await client.answer()
    words = [json.loads(e[6:])["choices"][0]["delta"] for e in body.split(b"\n\n")[:-2]]
    assert [int(word["content"]) for word in words] == list(range(500))
    assert link.console.streams == 0
    assert link.node.streams == 0


async def test_a_client_that_leaves_is_a_reset_at_the_other_end(world, link):
    client = await world.client()
    client.send(world.chat())
    served = await link.request()
    link.node.send_head(served.stream, SSE)
    link.node.send(served.stream, world.event(content="a"))
    await client.head()
    client.abort()
    async with asyncio.timeout(60):
        while served.reset is None:
            await asyncio.sleep(0.001)
    assert served.reset is ResetCode.CANCELLED
    assert link.console.streams == 0


async def test_a_client_that_does_not_read_stops_the_node_at_its_window(world, link):
    client = await world.client()
    client.writer.transport.pause_reading()
    client.send(world.chat())
    served = await link.request()
    link.node.send_head(served.stream, SSE)
    block = world.event(content="x" * 15_000)
    sent = 0
    while link.node.send(served.stream, block):
        sent += len(block)
        assert sent < 64 * 1024 * 1024
        await asyncio.sleep(0)
    link.node.send(served.stream, b"data: [DONE]\n\n")
    link.node.end(served.stream, Trailer())
    client.writer.transport.resume_reading()
    _, _, body = await client.answer()
    assert len(body) > sent
    assert body.endswith(b"data: [DONE]\n\n")


async def test_a_stream_goes_on_after_its_link_was_cut(world, link):
    client = await world.client()
    client.send(world.chat())
    served = await link.request()
    link.node.send_head(served.stream, SSE)
    link.node.send(served.stream, world.event(content="a"))
    await client.head()
    link.unplug()
    link.node.send(served.stream, world.event(content="b"))
    offer = link.node.offer()
    resumed = link.console.settle(offer)
    link.node.settle(resumed)
    link.plug()
    link.node.send(served.stream, b"data: [DONE]\n\n")
    link.node.end(served.stream, Trailer())
    assert await client.chunk() == world.event(content="a")
    assert await client.rest() == world.event(content="b") + b"data: [DONE]\n\n"


async def test_a_session_that_is_abandoned_ends_the_stream_with_upstream_lost(world, link):
    client = await world.client()
    client.send(world.chat())
    served = await link.request()
    link.node.send_head(served.stream, SSE)
    link.node.send(served.stream, world.event(content="a"))
    await client.head()
    link.unplug()
    link.console.abandon("the grace is over")
    _, body = await client.chunk(), await client.rest()
    assert b'"upstream_lost"' in body


@pytest.mark.parametrize(
    ("status", "told"), [(400, 400), (404, 404), (401, 503), (403, 503), (302, 503), (101, 503)]
)
async def test_only_what_a_node_says_of_the_request_is_believed(world, link, status, told):
    client = await world.client()
    client.send(world.chat(stream=False))
    served = await link.request()
    link.node.send_head(served.stream, AnswerHead(status=status, headers={"set-cookie": "a=b"}))
    link.node.send(served.stream, b'{"error":{"message":"m"}}')
    link.node.end(served.stream, Trailer())
    status, headers, _ = await client.answer()
    assert status == told
    assert "set-cookie" not in headers


@pytest.mark.parametrize(
    ("streams", "kind"), [(True, "application/json"), (False, "text/event-stream"), (True, "")]
)
async def test_an_answer_of_the_wrong_kind_is_none(world, link, streams, kind):
    client = await world.client()
    client.send(world.chat(stream=streams))
    served = await link.request()
    link.node.send_head(served.stream, AnswerHead(status=200, headers={"content-type": kind}))
    assert (await client.answer())[0] == 503


async def test_data_before_a_head_is_no_answer(world):
    node = world.node()
    client = await world.client()
    client.send(world.chat())
    (await node.session.next_stream()).data(b"data: x\n\n")
    assert (await client.answer())[0] == 503


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b"[" * 100_000])
async def test_a_plain_answer_that_is_no_object_is_none(world, link, body):
    client = await world.client()
    client.send(world.chat(stream=False))
    served = await link.request()
    link.node.send_head(served.stream, AnswerHead(status=200))
    if body:
        link.node.send(served.stream, body)
    link.node.end(served.stream, Trailer())
    assert (await client.answer())[0] == 503


async def test_an_error_larger_than_its_limit_is_none(world, link):
    client = await world.client()
    client.send(world.chat())
    served = await link.request()
    link.node.send_head(served.stream, AnswerHead(status=400))
    link.node.send(served.stream, b'{"error":{"message":"' + b"x" * 70_000)
    assert (await client.answer())[0] == 503
