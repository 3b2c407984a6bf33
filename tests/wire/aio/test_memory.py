from __future__ import annotations

import asyncio

import pytest

from byoi_wire.aio.channel import FULL_BYTES
from byoi_wire.aio.memory import pair


class Listener:
    def __init__(self) -> None:
        self.heard = []

    def message_received(self, message) -> None:
        self.heard.append(message)

    def channel_writable(self) -> None:
        self.heard.append("writable")

    def channel_closed(self, code, reason) -> None:
        self.heard.append((code, reason))


async def settle() -> None:
    """Let all that is due on the loop happen."""
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture
async def ends():
    left, right = pair()
    listeners = Listener(), Listener()
    left.attach(listeners[0])
    right.attach(listeners[1])
    return left, right, *listeners


async def test_messages_arrive_in_order_on_a_later_turn(ends):
    left, right, at_left, at_right = ends
    left.send("one")
    left.send(b"two")
    right.send("three")
    assert at_right.heard == []
    await settle()
    assert at_right.heard == ["one", b"two"]
    assert at_left.heard == ["three"]
    assert left.sent == ["one", b"two"]


async def test_what_comes_early_waits_for_a_listener():
    left, right = pair()
    left.send("one")
    left.send("two")
    await settle()
    late = Listener()
    right.attach(late)
    assert late.heard == ["one", "two"]


async def test_a_close_before_anyone_listens_is_told_when_one_does():
    left, right = pair()
    left.send("last")
    left.close(1000, "bye")
    await settle()
    late = Listener()
    right.attach(late)
    await settle()
    assert late.heard == ["last", (1000, "bye")]


async def test_a_close_is_heard_once_at_both_ends(ends):
    left, right, at_left, at_right = ends
    left.close(1002, "broken")
    left.close(1000)
    left.send("too late")
    await settle()
    right.abort()
    await settle()
    assert at_left.heard == at_right.heard == [(1002, "broken")]
    assert left.sent == []


async def test_an_abort_is_a_close_without_a_word(ends):
    left, _, at_left, at_right = ends
    left.abort()
    await settle()
    assert at_left.heard == at_right.heard == [(1006, "")]


async def test_a_cut_line_is_silent_both_ways(ends):
    left, right, at_left, at_right = ends
    left.send("under way")
    left.cut()
    left.send("lost")
    right.send("lost")
    left.close()
    await settle()
    assert at_right.heard == []
    assert at_left.heard == [(1000, "")]


async def test_a_paused_end_keeps_what_comes(ends):
    left, right, _, at_right = ends
    right.pause()
    left.send("one")
    left.send("two")
    await settle()
    assert at_right.heard == []
    right.resume()
    assert at_right.heard == ["one", "two"]


async def test_a_listener_may_pause_while_it_hears():
    left, right = pair()

    class Shy(Listener):
        def message_received(self, message) -> None:
            super().message_received(message)
            right.pause()

    shy = Shy()
    left.send("one")
    left.send("two")
    await settle()
    right.attach(shy)
    assert shy.heard == ["one"]
    right.resume()
    assert shy.heard == ["one", "two"]


async def test_it_can_look_full(ends):
    left, _, at_left, _ = ends
    left.fill(FULL_BYTES + 1)
    assert left.buffered_bytes == FULL_BYTES + 1
    left.fill(FULL_BYTES)
    left.fill(0)
    assert at_left.heard == ["writable"]
