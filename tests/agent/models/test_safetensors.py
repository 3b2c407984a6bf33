from __future__ import annotations

import json
import struct

import pytest

from byoi_agent.errors import ConfigError
from byoi_agent.models.safetensors import read


@pytest.fixture
def check(tmp_path):
    def check(header, data=b"\0" * 64, length=None):
        raw = header if isinstance(header, bytes) else json.dumps(header).encode()
        file = tmp_path / "m.safetensors"
        file.write_bytes(struct.pack("<Q", len(raw) if length is None else length) + raw + data)
        return read(file)

    return check


def tensor(dtype="U8", shape=(64,), at=(0, 64)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(at)}


def test_a_sound_file_names_its_tensors(check):
    found = check(
        {
            "__metadata__": {"format": "pt"},
            "b": tensor("BF16", (2, 8), (32, 64)),
            "a": tensor("F4", (64,), (0, 32)),
        }
    )
    assert [(one.name, one.dtype, one.size_bytes) for one in found] == [
        ("a", "F4", 32),
        ("b", "BF16", 32),
    ]


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (b"", "no JSON"),
        (b"[]", "no JSON object"),
        (b"{" * 100_000, "no JSON"),
        (b'{"a":1,"a":1}', "a name comes twice"),
        ({"a": 1}, "is no tensor"),
        ({"a": tensor("Q9")}, "unknown type"),
        ({"a": tensor(["U8"])}, "unknown type"),
        ({"a": tensor(shape=(True,))}, "no shape"),
        ({"a": tensor(shape=(1,) * 17)}, "no shape"),
        ({"a": tensor(at=(0, 64, 65))}, "no place"),
        ({"a": tensor(at=(-1, 63))}, "no place"),
        ({"a": {"dtype": "U8", "shape": "x", "data_offsets": [0, 64]}}, "no shape"),
        ({"a": tensor(shape=(63,))}, "another number of bytes"),
        ({"a": tensor(shape=(1 << 62, 1 << 62))}, "another number of bytes"),
        ({"a": tensor(at=(64, 0))}, "another number of bytes"),
        ({"a": tensor(at=(1, 65))}, "after a gap"),
        ({"a": tensor(), "b": tensor()}, "lies over another"),
        ({"a": tensor(shape=(128,), at=(0, 128))}, "its tensors take 128 bytes, and it has 64"),
        ({}, "its tensors take 0 bytes"),
    ],
)
def test_what_lies_or_is_damaged_never_reaches_an_engine(check, header, said):
    with pytest.raises(ConfigError, match=f"no safetensors file .*{said}"):
        check(header)


def test_a_head_longer_than_the_file_is_never_read(check, tmp_path):
    with pytest.raises(ConfigError, match="no safetensors file"):
        check(b"{}", length=1 << 62)
    with pytest.raises(ConfigError, match="cannot be read"):
        read(tmp_path / "none")
