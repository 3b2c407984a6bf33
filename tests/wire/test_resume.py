from __future__ import annotations

import pytest

from byoi_wire import codec, resume
from byoi_wire.errors import ProtocolViolation
from byoi_wire.messages import (
    Data,
    Head,
    Hello,
    Limits,
    Open,
    Reset,
    ResetCode,
    ResumeOffer,
    StreamOffset,
    Welcome,
    Window,
)
from byoi_wire.mux import Mux
from byoi_wire.version import HANDSHAKE_LIMIT_BYTES, RESUME_STREAMS_LIMIT, STREAM_ID_LIMIT

PLENTY = 1 << 30


def link(console: Mux, node: Mux) -> None:
    """Carry what waits on both sides."""
    for frame in console.take(PLENTY):
        node.receive(frame)
    for frame in node.take(PLENTY):
        console.receive(frame)


def pair(streams: int) -> tuple[Mux, Mux]:
    console, node = Mux(opens=True), Mux(opens=False)
    for _ in range(streams):
        console.open(b"{}")
    link(console, node)
    return console, node


def test_the_offer_says_how_much_of_each_stream_has_come():
    console, node = pair(2)
    console.send(1, b"four")
    link(console, node)
    assert resume.offer(node) == (
        StreamOffset(stream=1, received=5),
        StreamOffset(stream=2, received=1),
    )


def test_streams_that_both_sides_know_go_on_where_the_other_stopped():
    console, node = pair(1)
    node.head(1, b"{}")
    node.send(1, b"heard")
    link(console, node)
    node.send(1, b"lost")
    node.take(PLENTY)
    console.disconnect()
    node.disconnect()
    at_console = resume.settle(console, resume.offer(node))
    assert at_console == ((StreamOffset(stream=1, received=6),), ())
    assert resume.settle(node, at_console.resumed).lost == ()
    assert console.take(PLENTY) == [Window(1, 6, 1 + 256 * 1024)]
    assert node.take(PLENTY) == [Window(1, 1, 1 + 256 * 1024), Data(1, b"lost")]


def test_streams_that_only_one_side_knows_are_lost_there():
    console, node = pair(3)
    console.forget(1)
    node.forget(3)
    fresh = console.open(b"{}")
    console.take(PLENTY)
    at_console = resume.settle(console, resume.offer(node))
    assert [offset.stream for offset in at_console.resumed] == [2]
    assert at_console.lost == (3, fresh)
    assert resume.settle(node, at_console.resumed).lost == (1,)
    assert list(console.streams) == list(node.streams) == [2]


def test_an_impossible_offset_changes_nothing():
    console, node = pair(3)
    node.forget(1)
    claims = (*resume.offer(node)[:1], StreamOffset(stream=3, received=77))
    with pytest.raises(ProtocolViolation):
        resume.settle(console, claims)
    assert list(console.streams) == [1, 2, 3]
    assert not console.take(PLENTY)


def test_streams_that_were_never_opened_may_be_named_in_vain():
    console, _ = pair(1)
    claims = [StreamOffset(stream=1, received=1), StreamOffset(stream=99, received=5)]
    assert resume.settle(console, claims).lost == ()


def test_a_reset_from_before_is_told_by_the_settlement_alone():
    console, node = pair(2)
    unheard = console.open(b"{}")
    console.take(PLENTY)
    console.disconnect()
    console.reset(unheard, ResetCode.CANCELLED)
    console.reset(2, ResetCode.CANCELLED)
    at_console = resume.settle(console, resume.offer(node))
    assert resume.settle(node, at_console.resumed).lost == (2,)
    assert [type(frame) for frame in console.take(PLENTY)] == [Window]


def test_a_node_s_reset_after_its_offer_still_goes_out():
    console, node = pair(1)
    node.disconnect()
    offered = resume.offer(node)
    node.reset(1, ResetCode.REFUSED)
    resume.settle(node, resume.settle(console, offered).resumed)
    assert node.take(PLENTY) == [Reset(1, ResetCode.REFUSED)]


def test_more_streams_than_fit_into_a_hello_are_given_up_by_both():
    console, node = pair(RESUME_STREAMS_LIMIT + 5)
    offered = resume.offer(node)
    assert len(offered) == RESUME_STREAMS_LIMIT
    at_console = resume.settle(console, offered)
    assert len(at_console.lost) == len(resume.settle(node, at_console.resumed).lost) == 5


def test_the_largest_offer_fits_into_hello_and_welcome():
    streams = tuple(
        StreamOffset(stream=STREAM_ID_LIMIT - number, received=10**14)
        for number in range(RESUME_STREAMS_LIMIT)
    )
    hello = Hello(
        node_id="n" * 64,
        key_id="k" * 64,
        nonce="x" * 64,
        signature="s" * 88,
        instance_id="i" * 64,
        version="byoi.v1",
        agent="a" * 64,
        resume=ResumeOffer(session_id="s" * 64, streams=streams),
    )
    welcome = Welcome(
        session_id="s" * 64,
        epoch=1,
        resumed=streams,
        limits=Limits(window_bytes=1, data_bytes=1, message_bytes=1),
        lease_seconds=1,
        renew_seconds=1,
        grace_seconds=1,
    )
    for message in (hello, welcome):
        assert len(codec.encode_control(message)) <= HANDSHAKE_LIMIT_BYTES


def test_an_ended_answer_is_kept_until_the_console_has_it():
    console, node = pair(1)
    console.end(1)
    node.head(1, b"{}")
    node.end(1, b"{}")
    node.take(PLENTY)
    console.disconnect()
    node.disconnect()
    assert resume.offer(node) == (StreamOffset(stream=1, received=1),)
    at_console = resume.settle(console, resume.offer(node))
    resume.settle(node, at_console.resumed)
    again = node.take(PLENTY)
    assert [type(frame) for frame in again[1:2]] == [Head]
    for frame in again:
        console.receive(frame)
    assert not list(console.streams)
    for _ in range(2):
        link(console, node)
    assert not list(node.streams)


def test_an_open_that_the_node_has_is_not_sent_again():
    console, node = pair(1)
    resume.settle(console, resume.offer(node))
    assert not any(isinstance(frame, Open) for frame in console.take(PLENTY))
