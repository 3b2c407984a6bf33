from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byoi_agent.errors import ConfigError
from byoi_agent.models import gguf as module
from byoi_agent.models.gguf import read


@pytest.fixture
def check(tmp_path):
    def check(raw):
        file = tmp_path / "m.gguf"
        file.write_bytes(raw)
        return read(file)

    return check


def u32(value):
    return struct.pack("<I", value)


def u64(value):
    return struct.pack("<Q", value)


def test_a_sound_file_says_what_it_is(hubs, check):
    words = u32(8) + u64(2) + hubs.text("a") + hubs.text(b"\xff")  # a word need not be text
    found = check(
        hubs.gguf(
            pairs={
                "tokenizer.ggml.tokens": (9, words),
                "numbers": (9, u32(5) + u64(3) + bytes(12)),
                "lists": (9, u32(9) + u64(1) + u32(0) + u64(2) + b"ab"),
                "flag": (7, b"\1"),
                "general.alignment": (4, u32(32)),
            }
        )
    )
    assert found.version == 3
    assert found.number("context_length") == 4096
    assert found.number("nothing") is None
    assert found.metadata["tokenizer.ggml.tokens"] == 2
    assert found.metadata["flag"] is True
    (tensor,) = found.tensors
    assert (tensor.name, tensor.shape, tensor.type_name, tensor.size_bytes) == (
        "w",
        (64,),
        "I8",
        64,
    )


def with_tensor(hubs, *, name=b"w", dims=(64,), kind=24, offset=0, count=1, data=64):
    head = b"GGUF" + struct.pack("<IQQ", 3, count, 0)
    one = (
        hubs.text(name) + u32(len(dims)) + b"".join(u64(d) for d in dims) + u32(kind) + u64(offset)
    )
    head += one * count
    return head + bytes(-len(head) % 32) + bytes(data)


CORPUS = {
    "nothing": (lambda h: b"", "ends too early"),
    "another magic": (lambda h: b"GGML" + h.gguf()[4:], "does not begin as one"),
    "version 1": (lambda h: h.gguf(version=1), "version 1"),
    "big-endian": (lambda h: h.gguf(version=3 << 24), "version 50331648"),
    "endless tensors": (lambda h: b"GGUF" + struct.pack("<IQQ", 3, 1 << 62, 0), "more entries"),
    "endless keys": (lambda h: b"GGUF" + struct.pack("<IQQ", 3, 0, 1 << 62), "more entries"),
    "cut off": (lambda h: h.gguf()[:40], "ends too early"),
    "cut data": (lambda h: h.gguf()[:-1], "go on beyond its end"),
    "a long key": (
        lambda h: b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + u64(1 << 63),
        "a text of 9223372036854775808",
    ),
    "a long text": (lambda h: h.gguf(pairs={"x": (8, u64(10_000_000))}), "ends too early"),
    "no text": (lambda h: h.gguf(pairs={"x": (8, h.text(b"\xff"))}), "a text that is none"),
    "a huge template": (
        lambda h: h.gguf(pairs={"tokenizer.chat_template": (8, h.text("x" * 1_000_001))}),
        "where 1000000 are allowed",
    ),
    "a key twice": (
        lambda h: b"GGUF" + struct.pack("<IQQ", 3, 0, 2) + (h.text("k") + u32(0) + b"\0") * 2,
        "comes twice",
    ),
    "an unknown kind": (lambda h: h.gguf(pairs={"x": (13, b"")}), "unknown kind 13"),
    "a third truth": (lambda h: h.gguf(pairs={"x": (7, b"\2")}), "neither"),
    "a list beyond the end": (
        lambda h: h.gguf(pairs={"x": (9, u32(4) + u64(1 << 61))}),
        "longer than the file",
    ),
    "a list of nothing known": (
        lambda h: h.gguf(pairs={"x": (9, u32(99) + u64(1))}),
        "unknown kind",
    ),
    "a list of a long word": (
        lambda h: h.gguf(pairs={"x": (9, u32(8) + u64(1) + u64(1 << 40))}),
        "a text of",
    ),
    "lists in lists": (
        lambda h: h.gguf(pairs={"x": (9, (u32(9) + u64(1)) * 3 + u32(0) + u64(0))}),
        "lists in lists",
    ),
    "alignment 0": (lambda h: h.gguf(pairs={"general.alignment": (4, u32(0))}), "alignment of 0"),
    "alignment 24": (
        lambda h: h.gguf(pairs={"general.alignment": (4, u32(24))}),
        "alignment of 24",
    ),
    "alignment huge": (
        lambda h: h.gguf(pairs={"general.alignment": (4, u32(1 << 31))}),
        "alignment",
    ),
    "alignment text": (
        lambda h: h.gguf(pairs={"general.alignment": (8, h.text("x"))}),
        "alignment of x",
    ),
    "a nameless tensor": (lambda h: with_tensor(h, name=b""), "has no name"),
    "a long tensor name": (lambda h: with_tensor(h, name=b"n" * 64), "where 63"),
    "a tensor twice": (lambda h: with_tensor(h, count=2), "comes twice"),
    "no dimensions": (lambda h: with_tensor(h, dims=()), "0 dimensions"),
    "five dimensions": (lambda h: with_tensor(h, dims=(1,) * 5), "5 dimensions"),
    "an empty tensor": (lambda h: with_tensor(h, dims=(0,)), "shape that its type cannot"),
    "half a block": (lambda h: with_tensor(h, dims=(48,), kind=2), "shape that its type cannot"),
    "overflow": (lambda h: with_tensor(h, dims=(1 << 33, 1 << 33)), "beyond its end"),
    "an unknown type": (lambda h: with_tensor(h, kind=4), "unknown type 4"),
    "an odd place": (lambda h: with_tensor(h, offset=7), "does not lie where"),
    "a place beyond": (lambda h: with_tensor(h, offset=1 << 62), "beyond its end"),
}


@pytest.mark.parametrize("case", CORPUS)
def test_what_lies_or_is_damaged_never_reaches_an_engine(hubs, check, case):
    make, said = CORPUS[case]
    with pytest.raises(ConfigError, match=f"no sound GGUF file .*{said}.*no engine gets to see it"):
        check(make(hubs))


def test_tensors_over_each_other_are_found(hubs, check):
    head = b"GGUF" + struct.pack("<IQQ", 3, 2, 0)
    for name in ("a", "b"):
        head += hubs.text(name) + u32(1) + u64(64) + u32(24) + u64(32 if name == "b" else 0)
    with pytest.raises(ConfigError, match="'b' lies over another tensor"):
        check(head + bytes(-len(head) % 32) + bytes(200))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_change_of_bytes_makes_it_fall_over(hubs, tmp_path_factory, data):
    raw = bytearray(hubs.gguf(pairs={"l": (9, u32(8) + u64(1) + hubs.text("word"))}))
    for _ in range(data.draw(st.integers(1, 6))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    file = tmp_path_factory.getbasetemp() / "fuzzed.gguf"
    file.write_bytes(bytes(raw[: data.draw(st.integers(0, len(raw)))]))
    try:
        found = read(file)
    except ConfigError:
        return
    assert all(one.size_bytes <= len(raw) for one in found.tensors)


def test_a_file_that_cannot_be_read_is_said(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read(tmp_path / "none.gguf")
    assert module.TYPES[8] == ("Q8_0", 32, 34)


def test_numbers_of_each_layer_are_kept_and_bounded(hubs, check):
    few = u32(5) + u64(3) + u32(0) + u32(8) + u32(0)
    found = check(hubs.gguf(pairs={"jamba.attention.head_count_kv": (9, few)}))
    assert found.metadata["jamba.attention.head_count_kv"] == (0, 8, 0)
    for lie in (u32(5) + u64(1 << 40), u32(8) + u64(1) + hubs.text("a")):
        with pytest.raises(ConfigError, match="for each layer"):
            check(hubs.gguf(pairs={"jamba.attention.head_count_kv": (9, lie)}))
