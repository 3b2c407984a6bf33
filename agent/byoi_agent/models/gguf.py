"""Reads the head of a GGUF file and believes nothing of it before it was checked.

Engines read this format in C++ and have read beyond their memory over lengths and offsets that lie
(CVE-2024-21802, CVE-2026-7482), so every number is held against the file's real size first. The
format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final

from byoi_agent.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Value = bool | int | float | str | tuple[bool | int | float, ...]

_VERSIONS: Final = (2, 3)
_COUNT_LIMIT: Final = 1_000_000
_KEY_BYTES: Final = 65_535
_TEXT_BYTES: Final = 16_000_000
_TEMPLATE_BYTES: Final = 1_000_000
_NAME_BYTES: Final = 63  # ggml's own, less the closing zero
_DIMENSIONS: Final = 4
_DEPTH: Final = 2
_DEFAULT_ALIGNMENT: Final = 32
_LARGEST_ALIGNMENT: Final = 65_536
_SCALARS: Final = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q",
    12: "<d",
}  # fmt: skip
_OF_EACH_LAYER: Final = (".head_count", ".head_count_kv", ".feed_forward_length")
"""Keys whose lists are kept: hybrids have another number in each layer."""
_LAYERS: Final = 4096
_TEXT: Final = 8
_ARRAY: Final = 9
TYPES: Final[Mapping[int, tuple[str, int, int]]] = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22), 7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 9: ("Q8_1", 32, 40),
    10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110), 12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210), 15: ("Q8_K", 256, 292), 16: ("IQ2_XXS", 256, 66),
    17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98), 19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110), 22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136), 24: ("I8", 1, 1), 25: ("I16", 1, 2), 26: ("I32", 1, 4),
    27: ("I64", 1, 8), 28: ("F64", 1, 8), 29: ("IQ1_M", 256, 56), 30: ("BF16", 1, 2),
    34: ("TQ1_0", 256, 54), 35: ("TQ2_0", 256, 66), 39: ("MXFP4", 32, 17), 40: ("NVFP4", 64, 36),
    41: ("Q1_0", 128, 18),
}  # fmt: skip
"""ggml's number of a type → its name, the weights of a block, the bytes of a block."""


@dataclass(frozen=True)
class GgufTensor:
    """One tensor; `offset` counts from where the data begins."""

    name: str
    shape: tuple[int, ...]
    type_name: str
    size_bytes: int
    offset: int


@dataclass(frozen=True)
class GgufHeader:
    """What the file says of itself. Of most lists `metadata` holds the length alone."""

    version: int
    metadata: Mapping[str, Value]
    tensors: tuple[GgufTensor, ...]

    def number(self, key: str) -> int | None:
        """A whole number of the model's own architecture, as `context_length`."""
        architecture = self.metadata.get("general.architecture")
        value = self.metadata.get(f"{architecture}.{key}")
        return value if isinstance(value, int) and not isinstance(value, bool) else None


def read(file: Path) -> GgufHeader:
    """The head of a file, once all of it was checked against the file's size.

    Raises:
        ConfigError: it is damaged, made to harm, or no GGUF; the message says what is wrong.
    """
    try:
        with file.open("rb") as stream:
            return _Reader(stream, file.stat().st_size).header()
    except _Unsound as why:
        raise ConfigError(
            f"{file} is no sound GGUF file ({why}), so no engine gets to see it; download it again"
        ) from None
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from error


class _Unsound(Exception):
    """What is wrong, in words."""


class _Reader:
    """Reads on from the beginning; nothing is read that the file cannot hold."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream = stream
        self._size = size
        self._at = 0

    def header(self) -> GgufHeader:
        if self._take(4) != b"GGUF":
            raise _Unsound("it does not begin as one")
        version = self._number("<I")
        if version not in _VERSIONS:
            raise _Unsound(f"version {version}, where 2 and 3 are known")
        tensor_count, pair_count = self._number("<Q"), self._number("<Q")
        if max(tensor_count, pair_count) > _COUNT_LIMIT:
            raise _Unsound("more entries than any model has")
        metadata = self._pairs(pair_count)
        alignment = _alignment(metadata)
        tensors = self._tensors(tensor_count, alignment)
        self._check_places(tensors, alignment)
        return GgufHeader(version, metadata, tensors)

    def _pairs(self, count: int) -> dict[str, Value]:
        metadata: dict[str, Value] = {}
        for _ in range(count):
            key = self._text(_KEY_BYTES)
            if not key or key in metadata:
                raise _Unsound(f"the key {key[:60]!r} comes twice or is empty")
            limit = _TEMPLATE_BYTES if "chat_template" in key else _TEXT_BYTES
            kind = self._number("<I")
            is_kept = kind == _ARRAY and key.endswith(_OF_EACH_LAYER)
            metadata[key] = self._numbers() if is_kept else self._value(kind, limit)
        return metadata

    def _numbers(self) -> Value:
        kind, count = self._number("<I"), self._number("<Q")
        if kind not in _SCALARS or count > _LAYERS:
            raise _Unsound("a number for each layer of more layers than any model has")
        return tuple(self._scalar(kind) for _ in range(count))

    def _value(self, kind: int, text_limit: int) -> Value:
        if kind == _TEXT:
            return self._text(text_limit)
        if kind == _ARRAY:
            return self._array(text_limit, _DEPTH)
        return self._scalar(kind)

    def _scalar(self, kind: int) -> bool | int | float:
        if (form := _SCALARS.get(kind)) is None:
            raise _Unsound(f"a value of the unknown kind {kind}")
        raw = self._take(struct.calcsize(form))
        if form == "<?" and raw[0] > 1:
            raise _Unsound("a truth value that is neither")
        value: bool | int | float = struct.unpack(form, raw)[0]
        return value

    def _array(self, text_limit: int, depth: int) -> int:
        """Passes over it; the answer is its length."""
        kind, count = self._number("<I"), self._number("<Q")
        if depth == 0:
            raise _Unsound("lists in lists in lists")
        width = struct.calcsize(_SCALARS[kind]) if kind in _SCALARS else 8
        if kind not in {*_SCALARS, _TEXT, _ARRAY} or count * width > self._left:
            raise _Unsound("a list that is longer than the file, or of an unknown kind")
        if kind in _SCALARS:
            self._skip(count * width)
            return count
        for _ in range(count):
            if kind == _TEXT:
                self._pass_text(text_limit)
            else:
                self._array(text_limit, depth - 1)
        return count

    def _tensors(self, count: int, alignment: int) -> tuple[GgufTensor, ...]:
        found: dict[str, GgufTensor] = {}
        for _ in range(count):
            name = self._text(_NAME_BYTES)
            if not name or name in found:
                raise _Unsound(f"the tensor {name!r} comes twice or has no name")
            found[name] = self._tensor(name, alignment)
        return tuple(found.values())

    def _tensor(self, name: str, alignment: int) -> GgufTensor:
        dimensions = self._number("<I")
        if not 1 <= dimensions <= _DIMENSIONS:
            raise _Unsound(f"{name!r} has {dimensions} dimensions")
        shape = tuple(self._number("<Q") for _ in range(dimensions))
        kind, offset = self._number("<I"), self._number("<Q")
        if kind not in TYPES:
            raise _Unsound(f"{name!r} is of the unknown type {kind}")
        type_name, block, block_bytes = TYPES[kind]
        weights = math.prod(shape)
        if weights == 0 or shape[0] % block:
            raise _Unsound(f"{name!r} has a shape that its type cannot have")
        if offset % alignment:
            raise _Unsound(f"{name!r} does not lie where a tensor may")
        return GgufTensor(name, shape, type_name, weights // block * block_bytes, offset)

    def _check_places(self, tensors: tuple[GgufTensor, ...], alignment: int) -> None:
        """Each inside the file, and none over another."""
        begin = -(-self._at // alignment) * alignment
        end = 0
        for one in sorted(tensors, key=lambda one: one.offset):
            if one.offset < end:
                raise _Unsound(f"{one.name!r} lies over another tensor")
            end = one.offset + one.size_bytes
        if tensors and begin + end > self._size:
            raise _Unsound("its tensors go on beyond its end")

    @property
    def _left(self) -> int:
        return self._size - self._at

    def _number(self, form: str) -> int:
        return int(struct.unpack(form, self._take(struct.calcsize(form)))[0])

    def _text(self, limit: int) -> str:
        length = self._number("<Q")
        if length > limit:
            raise _Unsound(f"a text of {length} bytes, where {limit} are allowed")
        try:
            return self._take(length).decode()
        except UnicodeDecodeError:
            raise _Unsound("a text that is none") from None

    def _pass_text(self, limit: int) -> None:
        length = self._number("<Q")
        if length > limit:
            raise _Unsound(f"a text of {length} bytes, where {limit} are allowed")
        self._take(length)  # of a vocabulary: its words need not be text

    def _take(self, count: int) -> bytes:
        if count > self._left:
            raise _Unsound("it ends too early")
        raw = self._stream.read(count)
        if len(raw) != count:
            raise _Unsound("it ends too early")
        self._at += count
        return raw

    def _skip(self, count: int) -> None:
        self._stream.seek(count, 1)
        self._at += count


def _alignment(metadata: Mapping[str, Value]) -> int:
    given = metadata.get("general.alignment", _DEFAULT_ALIGNMENT)
    is_power = isinstance(given, int) and given > 0 and given & (given - 1) == 0
    if not isinstance(given, int) or not is_power or not 8 <= given <= _LARGEST_ALIGNMENT:  # noqa: PLR2004 the format's
        raise _Unsound(f"an alignment of {given}")
    return given
