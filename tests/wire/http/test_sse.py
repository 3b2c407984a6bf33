from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byoi_wire.errors import ProtocolViolation
from byoi_wire.http.sse import EVENT_LIMIT_BYTES, EventSplitter, data_of, events


def cut(data, places):
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


places = st.lists(st.integers(0, 400), max_size=12)
stream = st.lists(
    st.sampled_from(
        [b"\n", b"\r\n", b"\n\n", b"\r\n\r\n", b"data: a", b"data:b", b": c", b"\r", b"x"]
    ),
    max_size=30,
).map(b"".join)


@given(stream, places)
def test_any_split_gives_the_same_events_and_every_byte(data, where):
    splitter = EventSplitter()
    blocks = [splitter.feed(piece) for piece in cut(data, where)]
    assert b"".join(blocks) + splitter.torn == data
    assert [event for block in blocks for event in events(block)] == list(events(data))
    assert all(not block or block.endswith((b"\n\n", b"\n\r\n")) for block in blocks)


@given(stream)
def test_events_are_cut_at_every_blank_line(data):
    for event in events(data):
        assert event.endswith((b"\n\n", b"\n\r\n"))
        assert not event.startswith((b"\n", b"\r"))
        assert b"\n\n" not in event[:-2]
        assert b"\n\r\n" not in event[:-3]


def test_a_block_of_whole_events_passes_uncopied():
    block = b'data: {"a":1}\n\ndata: [DONE]\n\n'
    splitter = EventSplitter()
    assert splitter.feed(block) is block
    assert splitter.torn == b""


def test_a_torn_event_waits_for_its_rest():
    splitter = EventSplitter()
    assert splitter.feed(b"data: a\n\ndata: ") == b"data: a\n\n"
    assert splitter.torn == b"data: "
    assert splitter.feed(b"b\r\n\r") == b""
    assert splitter.feed(b"\ndata: c") == b"data: b\r\n\r\n"
    assert splitter.torn == b"data: c"


def test_an_event_at_the_limit_passes_and_one_byte_more_does_not():
    for limit_and_over in (0, 1):
        event = b"data: " + b"a" * (EVENT_LIMIT_BYTES - 8 + limit_and_over) + b"\n\n"
        for pieces in ([event], cut(event, [1, 70_000, 900_000]), [event + b"x", b"\n\n"]):
            splitter = EventSplitter()
            if limit_and_over:
                with pytest.raises(ProtocolViolation, match="too large"):
                    [splitter.feed(piece) for piece in pieces]
            else:
                assert event in b"".join(splitter.feed(piece) for piece in pieces)


def test_a_flood_without_a_blank_line_is_refused():
    splitter = EventSplitter(limit=1000)
    with pytest.raises(ProtocolViolation, match="too large"):
        [splitter.feed(b"a") for _ in range(1001)]


@pytest.mark.parametrize(
    ("event", "data"),
    [
        (b'data: {"a":1}\n\n', b'{"a":1}'),
        (b"data:a\r\n\r\n", b"a"),
        (b"event: x\nid: 1\ndata: a\ndata:  b\n\n", b"a\n b"),
        (b": comment\n\n", b""),
        (b"data\n\n", b""),
        (b"database: x\n\n", b""),
    ],
)
def test_data_of_an_event_is_its_data_lines(event, data):
    assert data_of(event) == data
