from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byoi_wire.errors import ProtocolViolation
from byoi_wire.http.client import HEAD_LIMIT_BYTES, ResponseParser, encode_request


class Recorder:
    def __init__(self) -> None:
        self.heads: list[tuple[int, dict[str, str]]] = []
        self.body = b""
        self.ended = 0

    def head_received(self, status, headers):
        self.heads.append((status, dict(headers)))

    def body_received(self, data):
        assert self.heads
        assert not self.ended
        self.body += data

    def body_ended(self):
        self.ended += 1


def read(pieces, *, eof=False):
    recorder = Recorder()
    parser = ResponseParser(recorder)
    for piece in pieces:
        parser.feed(piece)
    if eof:
        parser.feed_eof()
    return recorder, parser


def cut(data, places):
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


def chunked(pieces):
    body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece)
    return (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: 1\r\nx-a: 2\r\n\r\n"
        + body
        + b"0\r\n\r\n"
    )


places = st.lists(st.integers(0, 4000), max_size=12)


@given(st.lists(st.binary(max_size=40), max_size=6), places)
def test_any_split_of_a_chunked_answer_gives_the_same(pieces, where):
    recorder, parser = read(cut(chunked(pieces), where))
    assert recorder.heads == [(200, {"transfer-encoding": "chunked", "x-a": "1, 2"})]
    assert recorder.body == b"".join(pieces)
    assert recorder.ended == 1
    assert parser.complete
    assert parser.keep_alive


@given(st.binary(max_size=200), places, st.sampled_from(["keep-alive", "close"]))
def test_any_split_of_a_counted_answer_gives_the_same(body, where, connection):
    answer = b"HTTP/1.1 404 No\r\nContent-Length: %d\r\nConnection: %b\r\n\r\n%b"
    recorder, parser = read(cut(answer % (len(body), connection.encode(), body), where))
    assert recorder.heads[0][0] == 404
    assert recorder.body == body
    assert recorder.ended == 1
    assert parser.keep_alive == (connection == "keep-alive")


@given(st.binary(max_size=200), places)
def test_an_answer_without_a_length_ends_with_its_connection(body, where):
    recorder, parser = read(cut(b"HTTP/1.1 200 OK\r\n\r\n" + body, where))
    assert not recorder.ended
    parser.feed_eof()
    assert recorder.body == body
    assert recorder.ended == 1
    assert not parser.keep_alive


@given(places)
def test_informational_answers_are_passed_over(where):
    early = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    recorder, _ = read(cut(early + chunked([b"hi"]), where))
    assert [status for status, _ in recorder.heads] == [200]
    assert "link" not in recorder.heads[0][1]
    assert recorder.body == b"hi"


def test_an_answer_that_has_no_body_ends_with_its_head():
    recorder, parser = read([b"HTTP/1.1 204 No Content\r\n\r\n"])
    assert recorder.ended == 1
    assert parser.keep_alive


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
        chunked([b"abc"])[:-2],
        chunked([b"abc"])[:-9],
    ],
)
def test_a_truncated_answer_is_an_error(answer):
    recorder = Recorder()
    parser = ResponseParser(recorder)
    parser.feed(answer)
    with pytest.raises(ProtocolViolation):
        parser.feed_eof()
    assert not recorder.ended


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-x\r\n",
        b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    ],
)
def test_what_is_no_plain_answer_is_refused(answer):
    with pytest.raises(ProtocolViolation):
        read([answer])


@given(places)
def test_bytes_after_the_end_are_refused_but_the_answer_stays_good(where):
    recorder = Recorder()
    parser = ResponseParser(recorder)
    second = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    with pytest.raises(ProtocolViolation):
        [parser.feed(piece) for piece in cut(chunked([b"abc"]) + second, where)]
    assert recorder.body == b"abc"
    assert recorder.ended == 1


def head_of(size):
    start, end = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: ", b"\r\n\r\n"
    return start + b"a" * (size - len(start) - len(end)) + end


@given(places)
def test_a_head_at_the_limit_passes_and_one_byte_more_does_not(where):
    spread = [place * 16 for place in where]
    recorder, _ = read(cut(head_of(HEAD_LIMIT_BYTES), spread))
    assert recorder.ended == 1
    with pytest.raises(ProtocolViolation, match="too large"):
        read(cut(head_of(HEAD_LIMIT_BYTES + 1), spread))


def test_endless_informational_answers_are_refused():
    with pytest.raises(ProtocolViolation, match="too large"):
        read([b"HTTP/1.1 100 Continue\r\n\r\n"] * 4000)


def test_endless_trailers_are_refused():
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
    with pytest.raises(ProtocolViolation, match="framing"):
        read([head, *[b"x-trailer: " + b"a" * 1000 + b"\r\n"] * 100])


def test_trailers_do_not_change_the_headers():
    recorder, parser = read([chunked([b"a"])[:-2] + b"x-a: evil\r\n\r\n"])
    assert recorder.heads[0][1]["x-a"] == "1, 2"
    assert parser.complete


def test_a_stopped_parser_calls_nobody():
    class Stopping(Recorder):
        def body_received(self, data):
            super().body_received(data)
            parser.stop()

    recorder = Stopping()
    parser = ResponseParser(recorder)
    parser.feed(chunked([b"a", b"b", b"c"]))
    parser.feed(b"garbage")
    parser.feed_eof()
    assert recorder.body == b"a"
    assert not recorder.ended


def test_a_request_carries_its_length():
    assert encode_request("POST", "/v1/x", {"host": "engine"}, b"{}") == (
        b"POST /v1/x HTTP/1.1\r\nhost: engine\r\ncontent-length: 2\r\n\r\n{}"
    )


@pytest.mark.parametrize(
    ("method", "target", "headers"),
    [
        ("GET x", "/", {}),
        ("GET", "/a b", {}),
        ("GET", "http://other/", {}),
        ("GET", "/\r\nx: y", {}),
        ("GET", "/", {"a b": "c"}),
        ("GET", "/", {"a": "b\r\nc: d"}),
        ("GET", "/", {"a": "b\x00"}),
        ("GET", "/", {"a": "\u20ac"}),
    ],
)
def test_a_request_cannot_be_broken_out_of(method, target, headers):
    with pytest.raises(ValueError, match="not a"):
        encode_request(method, target, headers, b"")
