"""Two sessions whose frames are carried by hand."""

from __future__ import annotations

import pytest

from byoi_wire.aio.session import Session
from byoi_wire.errors import ProtocolViolation
from byoi_wire.messages import AnswerHead, Data, End, Head, Open, Reset, ResetCode, Trailer
from byoi_wire.mux import QUEUE_HIGH_BYTES
from byoi_wire.version import STREAM_ID_LIMIT, WINDOW_BYTES

PLENTY = 1 << 30


class Pokes:
    """A wire that only notes how it was asked to send."""

    def __init__(self) -> None:
        self.urgent = []

    def poke(self, *, is_urgent: bool) -> None:
        self.urgent.append(is_urgent)

    def poke_later(self) -> None:
        self.urgent.append(None)


class Link:
    """A console's and a node's session, and what the node's application has accepted."""

    def __init__(self, recorder) -> None:
        self.accepted = []
        self.at_node = recorder()
        self.console = Session()
        self.node = Session(accept=self.accept)
        self.connect()

    def accept(self, stream, head):
        self.accepted.append((stream, head))
        return self.at_node

    def connect(self) -> None:
        self.console_wire, self.node_wire = Pokes(), Pokes()
        self.console.attach(self.console_wire)
        self.node.attach(self.node_wire)

    def carry(self) -> None:
        while self.console.has_frames or self.node.has_frames:
            self.node.frames_received(self.console.take(PLENTY))
            self.console.frames_received(self.node.take(PLENTY))
            self.console.taken()
            self.node.taken()

    def cut(self) -> None:
        self.console.detach(self.console_wire)
        self.node.detach(self.node_wire)

    def resume(self) -> None:
        self.node.settle(self.console.settle(self.node.offer()))
        self.connect()


@pytest.fixture
def link(recorder):
    return Link(recorder)


def test_a_request_and_its_answer(link, recorder, head):
    client = recorder()
    stream = link.console.open(head, client)
    link.console.send(stream, b"ask")
    link.console.end(stream)
    link.carry()
    assert link.accepted == [(stream, head)]
    assert link.at_node.heard == [("data", b"ask"), ("end", b"")]
    link.node.send_head(stream, AnswerHead(status=200))
    link.node.send(stream, b"answer")
    link.node.end(stream, Trailer(finish_reason="stop"))
    link.carry()
    assert client.heard[:2] == [("head", 200), ("data", b"answer")]
    trailer = Trailer.model_validate_json(client.heard[2][1])
    assert trailer.finish_reason == "stop"
    assert link.console.streams == link.node.streams == 0
    assert link.console.unfinished == link.node.unfinished == 0


def test_an_answer_on_its_way_is_unfinished_though_nobody_handles_it_any_more(link, recorder, head):
    stream = link.console.open(head, recorder())
    link.carry()
    link.node.send_head(stream, AnswerHead(status=200))
    link.node.end(stream)
    assert (link.node.streams, link.node.unfinished) == (0, 1)
    link.carry()
    assert link.node.unfinished == 0


def test_only_what_must_not_wait_is_urgent(link, recorder, head):
    stream = link.console.open(head, recorder())
    link.console.send(stream, b"ask")
    link.console.end(stream)
    assert link.console_wire.urgent == [True, False, True]
    link.carry()
    link.node_wire.urgent.clear()
    link.node.send_head(stream, AnswerHead(status=200))
    for _ in range(3):
        link.node.send(stream, b"x")
    link.node.end(stream)
    assert link.node_wire.urgent == [True, True, False, False, True]
    other = link.console.open(head, recorder())
    link.console_wire.urgent.clear()
    link.console.reset(other, ResetCode.CANCELLED)
    assert link.console_wire.urgent == [True]


def test_a_full_queue_asks_to_wait_and_says_when_to_go_on(link, recorder, head):
    client = recorder()
    stream = link.console.open(head, client)
    assert not link.console.send(stream, bytes(QUEUE_HIGH_BYTES))
    assert client.heard == []
    link.carry()
    assert client.heard == [("allowed",)]
    assert link.console.send(stream, b"more")


def test_a_slow_handler_stops_its_stream_and_no_other(link, recorder, head):
    slow, quick = link.console.open(head, recorder()), link.console.open(head, recorder())
    link.console.send(slow, bytes(2 * WINDOW_BYTES))
    link.console.send(quick, b"quick")
    link.carry()
    heard = sum(len(words[1]) for words in link.at_node.heard if words[0] == "data")
    assert heard == WINDOW_BYTES - 1 + len(b"quick")
    link.node.consumed(slow, WINDOW_BYTES // 2)
    assert link.node_wire.urgent[-1] is None, "credit may wait for company"
    link.carry()
    assert len(link.at_node.body) == heard + WINDOW_BYTES // 2 + 1  # and the unit of OPEN


def test_a_request_refused_on_the_spot(recorder, head):
    refused = recorder()
    node = Session(accept=lambda stream, _: node.reset(stream, ResetCode.REFUSED, "no") or refused)
    console, client = Session(), recorder()
    console.open(head, client)
    node.frames_received(console.take(PLENTY))
    assert node.streams == node.unfinished == 0
    console.frames_received(node.take(PLENTY))
    assert client.heard == [("reset", ResetCode.REFUSED, "no")]
    assert refused.heard == []


def test_nothing_is_heard_after_a_reset_by_either_side(link, recorder, head):
    client = recorder()
    stream = link.console.open(head, client)
    link.carry()
    link.node.send_head(stream, AnswerHead(status=200))
    link.node.send(stream, b"x")
    link.console.reset(stream, ResetCode.CANCELLED, "left")
    link.carry()
    link.cut()
    link.resume()
    assert client.heard == []
    assert link.at_node.heard == [("reset", ResetCode.CANCELLED, "left")]


def test_calls_for_a_stream_that_is_over_are_ignored(link, recorder, head):
    stream = link.console.open(head, recorder())
    link.carry()
    link.console.reset(stream, ResetCode.CANCELLED)
    link.carry()
    for session in (link.console, link.node):
        session.send_head(stream, AnswerHead(status=200))
        assert session.send(stream, b"x")
        session.consumed(stream, 5)
        session.end(stream)
        session.reset(stream, ResetCode.INTERNAL)
        assert not session.has_frames


def test_a_late_reset_does_not_cut_an_answer_that_has_ended(link, recorder, head):
    client = recorder()
    stream = link.console.open(head, client)
    link.carry()
    link.node.send_head(stream, AnswerHead(status=200))
    link.node.send(stream, b"whole")
    link.node.end(stream)
    link.node.reset(stream, ResetCode.INTERNAL)
    link.carry()
    assert client.body == b"whole"
    assert client.heard[-1][0] == "end"


def test_a_reset_of_a_later_version_is_an_internal_one(link, recorder, head):
    client = recorder()
    stream = link.console.open(head, client)
    link.carry()
    link.console.frames_received([Reset(stream, 999, "new")])
    assert client.heard == [("reset", ResetCode.INTERNAL, "new")]


def test_a_malformed_request_head_ends_the_link_and_its_stream(link):
    with pytest.raises(ProtocolViolation, match="OPEN"):
        link.node.frames_received([Open(1, b'{"path": 5}')])
    assert link.node.unfinished == 0
    assert link.accepted == []


def test_a_malformed_answer_head_ends_the_link_and_its_stream(link, recorder, head):
    client = recorder()
    stream = link.console.open(head, client)
    link.carry()
    with pytest.raises(ProtocolViolation, match="HEAD"):
        link.console.frames_received([Head(stream, b'{"status": 9}')])
    assert client.heard == [("reset", ResetCode.INTERNAL, "the node sent a malformed head")]
    assert link.console.unfinished == 0


def test_frames_of_a_stream_without_a_handler_are_passed_over(link, recorder, head):
    stream = link.console.open(head, recorder())
    link.carry()
    link.node.send_head(stream, AnswerHead(status=200))
    link.node.end(stream)
    link.node.frames_received([Data(stream, b"unwanted"), End(stream)])
    assert link.at_node.heard == []


def test_a_broken_link_is_heard_and_what_was_under_way_comes_over_the_next(link, recorder, head):
    client = recorder()
    stream = link.console.open(head, client)
    link.carry()
    link.node.send_head(stream, AnswerHead(status=200))
    link.node.send(stream, b"one")
    link.carry()
    link.node.send(stream, b"two")
    link.node.take(PLENTY)
    link.cut()
    assert not link.console.connected
    assert not link.node.connected
    link.node.send(stream, b"three")
    link.resume()
    assert link.console.connected
    link.carry()
    assert client.heard == [
        ("head", 200),
        ("data", b"one"),
        ("lost",),
        ("resumed",),
        ("data", b"twothree"),
    ]
    assert link.at_node.heard == [("lost",), ("resumed",)]


def test_a_link_replaced_before_its_end_was_noticed(link, recorder, head):
    """The end of the old link must not take back what was settled for the new one."""
    client = recorder()
    stream = link.console.open(head, client)
    link.console.send(stream, bytes(2 * WINDOW_BYTES))
    link.carry()
    old = link.console_wire
    link.node.consumed(stream, WINDOW_BYTES)
    link.node.take(PLENTY)
    link.node.detach(link.node_wire)
    settled = link.console.settle(link.node.offer())
    link.console.detach(old)
    link.node.settle(settled)
    link.connect()
    link.console.detach(old)
    assert link.console.connected
    link.carry()
    assert client.heard == [("lost",), ("resumed",), ("allowed",)]
    assert len(link.at_node.body) == 2 * WINDOW_BYTES - 1


def test_streams_that_the_peer_no_longer_knows_are_lost(link, recorder, head):
    kept, gone = recorder(), recorder()
    link.console.open(head, kept)
    link.carry()
    link.console.open(head, gone)
    link.console.take(PLENTY)
    link.cut()
    link.resume()
    assert kept.heard == [("lost",), ("resumed",)]
    assert gone.heard[0] == ("lost",)
    assert gone.heard[1][:2] == ("reset", ResetCode.LOST)
    assert len(gone.heard) == 2
    assert link.console.streams == 1


def test_an_impossible_offer_loses_nothing(link, recorder, head):
    client = recorder()
    link.console.open(head, client)
    link.carry()
    link.cut()
    (offer,) = link.node.offer()
    with pytest.raises(ProtocolViolation):
        link.console.settle([offer.model_copy(update={"received": 99})])
    assert client.heard == [("lost",)]
    link.resume()
    assert client.heard == [("lost",), ("resumed",)]


def test_an_abandoned_session_loses_every_stream_once(link, recorder, head):
    clients = [recorder(), recorder()]
    for client in clients:
        link.console.open(head, client)
    link.carry()
    link.console.abandon("the node is gone")
    link.console.abandon("the node is gone")
    for client in clients:
        assert client.heard == [("reset", ResetCode.LOST, "the node is gone")]
    assert link.console.streams == link.console.unfinished == 0


@pytest.mark.parametrize("occasion", ["lost", "resumed", "reset"])
def test_a_handler_that_resets_another_stream_silences_it(link, recorder, head, occasion):
    second = recorder()

    def reset_the_other(*words) -> None:
        if words[0] == occasion:
            link.console.reset(other, ResetCode.CANCELLED)

    link.console.open(head, recorder(reset_the_other))
    other = link.console.open(head, second)
    link.carry()
    link.cut()
    if occasion == "resumed":
        link.resume()
    if occasion == "reset":
        link.console.abandon("gone")
    assert second.heard == ([] if occasion == "lost" else [("lost",)])


def test_a_session_whose_ids_are_used_up_says_so(link, recorder, head):
    link.console._mux._newest = STREAM_ID_LIMIT
    assert link.console.is_exhausted
    with pytest.raises(OverflowError):
        link.console.open(head, recorder())
    assert link.console.streams == 0
