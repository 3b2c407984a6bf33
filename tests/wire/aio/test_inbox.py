from __future__ import annotations

import asyncio

import pytest

from byoi_wire.aio.inbox import ChannelLost, Inbox
from byoi_wire.aio.memory import pair
from byoi_wire.errors import ProtocolViolation


async def settle() -> None:
    """Let all that is due on the loop happen."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_messages_are_read_one_by_one():
    left, right = pair()
    inbox = Inbox(right, 100)
    left.send("one")
    left.send("two")
    assert await inbox.next() == "one"
    assert await inbox.next() == "two"


async def test_a_message_that_came_before_the_inbox_is_read():
    left, right = pair()
    left.send("early")
    await settle()
    assert await Inbox(right, 100).next() == "early"


async def test_a_message_is_awaited():
    left, right = pair()
    inbox = Inbox(right, 100)
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(inbox.next())
        await settle()
        assert not waiting.done()
        left.send("now")
    assert waiting.result() == "now"


async def test_what_comes_behind_the_last_message_is_handed_on_in_order():
    """The console's frames may lie in the same packet as its welcome."""
    left, right = pair()
    inbox = Inbox(right, 100)
    for message in ("welcome", b"frames", "ping", b"x" * 101):
        left.send(message)
    await settle()
    assert await inbox.next() == "welcome"
    heard = inbox.rest()

    class Next:
        def message_received(self, message) -> None:
            heard.append(message)

    right.attach(Next())
    assert heard == [b"frames", "ping", b"x" * 101]
    assert inbox.rest() == []


async def test_frames_before_the_end_are_a_violation():
    left, right = pair()
    inbox = Inbox(right, 100)
    left.send(b"frames")
    with pytest.raises(ProtocolViolation, match="frames"):
        await inbox.next()


@pytest.mark.parametrize("text", ["x" * 101, "é" * 51])
async def test_a_message_beyond_the_limit_is_too_big(text):
    left, right = pair()
    inbox = Inbox(right, 100)
    left.send(text)
    with pytest.raises(ProtocolViolation) as violation:
        await inbox.next()
    assert violation.value.close_code == 1009


@pytest.mark.parametrize("text", ["x" * 100, "é" * 50])
async def test_a_message_of_the_limit_passes(text):
    left, right = pair()
    inbox = Inbox(right, 100)
    left.send(text)
    assert await inbox.next() == text


async def test_no_more_is_held_than_one_message_while_nobody_reads():
    left, right = pair()
    inbox = Inbox(right, 100)
    for number in range(10_000):
        left.send(str(number))
    await settle()
    assert len(inbox._messages) == 1
    assert [await inbox.next() for _ in range(3)] == ["0", "1", "2"]


async def test_a_channel_that_closes_is_said_to_be_lost_once_all_is_read():
    left, right = pair()
    inbox = Inbox(right, 100)
    left.send("last")
    left.close(1008, "no")
    assert await inbox.next() == "last"
    inbox.channel_writable()
    with pytest.raises(ChannelLost, match="closed with 1008 no"):
        await inbox.next()
