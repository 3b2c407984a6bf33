from __future__ import annotations

import asyncio

from byoi_agent.serving.local_stream import UNREAD_BYTES, LocalStream
from byoi_wire.ids import StreamId
from byoi_wire.messages import AnswerHead, ResetCode

ONE = StreamId(1)


async def test_all_that_came_is_taken_at_once_and_then_there_is_nothing():
    stream = LocalStream()
    assert not await stream.news(0.0)
    stream.send_head(ONE, AnswerHead(status=200))
    assert stream.send(ONE, b"one ")
    assert stream.send(ONE, b"two")
    assert await stream.news(1.0)
    assert stream.take() == (b"one two", False)
    assert not await stream.news(0.0)
    stream.end(ONE)
    assert await stream.news()
    assert stream.take() == (b"", False)
    assert stream.is_over
    assert await stream.news()


async def test_who_reads_slowly_holds_the_relay_and_frees_it_by_reading():
    stream = LocalStream()
    assert stream.send(ONE, b"x" * (UNREAD_BYTES - 1))
    assert not stream.send(ONE, b"x")
    data, was_held = stream.take()
    assert (len(data), was_held) == (UNREAD_BYTES, True)
    assert stream.send(ONE, b"x")
    assert stream.take() == (b"x", False)


async def test_a_cut_is_an_end():
    stream = LocalStream()
    stream.send(ONE, b"half")
    stream.consumed(ONE, 5)
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        waits = tasks.create_task(stream.until_over())
        await asyncio.sleep(0)
        assert not waits.done()
        stream.reset(ONE, ResetCode.ENGINE_ERROR, "the engine failed")
    assert stream.cut == (ResetCode.ENGINE_ERROR, "the engine failed")
    assert stream.take() == (b"half", False)
