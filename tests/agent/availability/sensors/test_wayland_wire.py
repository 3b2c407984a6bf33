from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byoi_agent.availability.sensors.wayland_wire import NoMessage, named, request, taken


def test_a_request_is_as_the_protocol_says():
    bind = request(2, 0, 7, "wl_seat", 1, 4)
    assert bind == struct.pack("=IIII8sII", 2, len(bind) << 16, 7, 8, b"wl_seat\0", 1, 4)
    assert request(1, 1, 2) == struct.pack("=III", 1, 12 << 16 | 1, 2)


def test_a_text_is_filled_up_to_whole_numbers():
    assert request(1, 0, "abcd")[8:] == struct.pack("=I8s", 5, b"abcd")


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9), st.text(max_size=9)), max_size=5))
def test_whole_messages_come_out_however_the_bytes_are_cut(messages):
    stream = b"".join(request(target, number, text) for target, number, text in messages)
    received, found = bytearray(), []
    for byte in stream:
        received.append(byte)
        found += taken(received)
    assert [(one.sender, one.event) for one in found] == [one[:2] for one in messages]
    assert not received


@pytest.mark.parametrize("size", [0, 4, 9, 11])
def test_a_size_that_cannot_be_is_no_message(size):
    with pytest.raises(NoMessage):
        list(taken(bytearray(struct.pack("=II", 1, size << 16))))


def test_a_global_object_has_a_number_and_a_name():
    assert named(request(2, 0, 7, "wl_seat", 1)[8:]) == (7, "wl_seat")


@pytest.mark.parametrize("values", [b"", b"1234567", struct.pack("=II", 7, 4_000_000_000) + b"abc"])
def test_a_name_that_ends_too_soon_is_none(values):
    with pytest.raises(NoMessage):
        named(values)
