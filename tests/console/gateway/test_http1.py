from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byoi_console.gateway.http1 import (
    BODY_LIMIT_BYTES,
    CHUNKS_LIMIT,
    HEAD_LIMIT_BYTES,
    RequestBroken,
    RequestParser,
)

THREE = (
    b"\r\nGET /v1/models?a=b HTTP/1.1\r\nHost: x\r\n\r\n"
    b"POST /one HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
    b"POST /two HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n"
    b"5;ext=1\r\nhello\r\n06\r\n world\r\n0\r\nTrailer: x\r\n\r\n"
    b"GET http://x/abs%2Fpath HTTP/1.0\r\n\r\n"
)


def read(*pieces):
    parser = RequestParser()
    found = []
    for piece in pieces:
        parser.feed(piece)
        while (request := parser.next_request()) is not None:
            found.append(request)
    return parser, found


def facts(requests):
    return [(r.method, r.path, r.query, r.body, r.keeps_alive) for r in requests]


EXPECTED = [
    ("GET", "/v1/models", b"a=b", b"", True),
    ("POST", "/one", b"", b"hello", True),
    ("POST", "/two", b"", b"hello world", True),
    ("GET", "/abs/path", b"", b"", False),
]


@pytest.mark.parametrize("cut", range(len(THREE) + 1))
def test_requests_split_at_any_byte_are_the_same(cut):
    parser, found = read(THREE[:cut], THREE[cut:])
    assert facts(found) == EXPECTED
    assert parser.phase == "idle"


def test_requests_that_come_byte_by_byte_are_the_same():
    _, found = read(*(THREE[n : n + 1] for n in range(len(THREE))))
    assert facts(found) == EXPECTED


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=6), st.integers(1, 60))
def test_chunked_bodies_come_out_as_they_went_in(chunks, step):
    wire = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    wire += b"".join(b"%x\r\n%b\r\n" % (len(c), c) for c in chunks) + b"0\r\n\r\nREST"
    parser, found = read(*(wire[n : n + step] for n in range(0, len(wire), step)))
    assert [r.body for r in found] == [b"".join(chunks)]
    assert parser.rest() == b"REST"


@settings(max_examples=300)
@given(
    st.lists(
        st.binary(max_size=30)
        | st.sampled_from(
            [
                b"GET / HTTP/1.1\r\n",
                b"POST /v1/x HTTP/1.1\r\n",
                b"\r\n\r\n",
                b"Host: x\r\n",
                b"Transfer-Encoding: chunked\r\n",
                b"Content-Length: 3\r\n",
                b"0\r\n\r\n",
                b"5\r\nab",
            ]
        ),
        max_size=12,
    )
)
def test_any_bytes_are_requests_or_broken(pieces):
    try:
        read(*pieces)
    except RequestBroken as error:
        status = error.status
    else:
        status = 400
    assert status in {400, 413, 417, 431, 501}


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01\x02\x00", 400),
        (b"hello\r\n\r\n", 400),
        (b"GET / HTTP/1.1\n\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 400),
        (b"GET / HTTP/0.9\r\n\r\n", 400),
        (b"BREW / HTTP/1.1\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\n", 400),
        (b"CONNECT x:1 HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nA : b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n folded: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nA: b\0c\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (BODY_LIMIT_BYTES + 1), 413),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
        (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nExpect: x\r\n\r\n", 417),
        (b"GET / HTTP/1.1\r\nA: " + b"x" * HEAD_LIMIT_BYTES, 431),
        (b"GET /" + b"x" * HEAD_LIMIT_BYTES + b" HTTP/1.1\r\n\r\n", 431),
    ],
)
def test_what_is_no_request_is_told_apart(data, status):
    with pytest.raises(RequestBroken) as broken:
        read(data)
    assert broken.value.status == status


CHUNKED = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"z\r\n", 400),
        (b"-5\r\n", 400),
        (b"5 \x00\r\n", 400),
        (b"2\r\nabc\r\n", 400),
        (b"1" * 300, 400),
        (b"%x\r\n" % (BODY_LIMIT_BYTES + 1), 413),
        (b"ffffffff\r\n", 413),
        (b"1\r\na\r\n" * (CHUNKS_LIMIT + 1), 413),
        (b"0\r\n" + b"x" * 5000, 431),
    ],
)
def test_broken_chunks_are_told_apart(body, status):
    with pytest.raises(RequestBroken) as broken:
        read(CHUNKED + body)
    assert broken.value.status == status


def test_the_largest_body_is_taken_either_way():
    body = b"x" * BODY_LIMIT_BYTES
    _, (sized,) = read(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    _, (chunked,) = read(CHUNKED + b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n")
    assert sized.body == chunked.body == body


def test_phases_say_what_is_being_waited_for():
    parser, _ = read(b"POST / HT")
    assert parser.phase == "head"
    parser.feed(b"TP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n")
    assert parser.next_request() is None
    assert parser.phase == "body"
    assert parser.awaits_continue
    parser.feed(b"x")
    assert parser.next_request() is not None
    assert not parser.awaits_continue


def test_a_head_keeps_its_bytes_for_a_door_of_its_own():
    head = b"GET /agent/v1/connect HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    parser, (request,) = read(head + b"FRAMES")
    assert request.head == head
    assert parser.rest() == b"FRAMES"


def test_headers_that_are_no_text_do_not_fail():
    _, (request,) = read(b"GET /%ff HTTP/1.1\r\nAuthorization: \xff\xfe\r\n\r\n")
    assert request.header(b"authorization") == "\xff\xfe"
    assert request.path == "/\ufffd"
