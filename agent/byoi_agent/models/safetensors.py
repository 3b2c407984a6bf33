"""Reads the head of a safetensors file and holds it against the file: nothing over, none missing.

Eight bytes of length, so much JSON, then the tensors without a gap:
https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from byoi_agent.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

_HEADER_LIMIT_BYTES: Final = 100_000_000  # safetensors' own
_DIMENSIONS: Final = 16
_METADATA: Final = "__metadata__"
_BITS: Final = {
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8,
    "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "U16": 16, "I16": 16, "F16": 16, "BF16": 16,
    "U32": 32, "I32": 32, "F32": 32, "U64": 64, "I64": 64, "F64": 64, "C64": 64,
}  # fmt: skip
"""Bits of one weight."""


@dataclass(frozen=True)
class Tensor:
    """One tensor, as the head of its file has it."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    size_bytes: int


def read(file: Path) -> tuple[Tensor, ...]:
    """The tensors of a file, once the head was checked against the file's size.

    Raises:
        ConfigError: it is damaged, made to harm, or no safetensors file.
    """
    try:
        with file.open("rb") as stream:
            size = file.stat().st_size
            length = int.from_bytes(stream.read(8), "little")
            is_sane = 1 < length <= min(_HEADER_LIMIT_BYTES, size - 8)
            content = _object(stream.read(length) if is_sane else b"")
            return _checked(content, size - 8 - length)
    except _Unsound as why:
        raise ConfigError(
            f"{file} is damaged or no safetensors file ({why}); download it again"
        ) from None
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from error


class _Unsound(Exception):
    """What is wrong, in words."""


def _object(head: bytes) -> dict[str, Any]:
    try:
        content = json.loads(head, object_pairs_hook=_without_doubles)
    except (ValueError, RecursionError):
        raise _Unsound("its head is no JSON") from None
    if not isinstance(content, dict):
        raise _Unsound("its head is no JSON object")
    return content


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise _Unsound("a name comes twice")
    return content


def _checked(content: dict[str, Any], data_bytes: int) -> tuple[Tensor, ...]:
    placed = sorted(
        (_placed(name, entry) for name, entry in content.items() if name != _METADATA),
        key=lambda one: one[:2],
    )
    at = 0
    for begin, end, tensor in placed:
        if begin != at:
            raise _Unsound(f"{tensor.name[:80]!r} lies over another tensor, or after a gap")
        at = end
    if at != data_bytes:
        raise _Unsound(f"its tensors take {at} bytes, and it has {data_bytes}")
    return tuple(tensor for _, _, tensor in placed)


def _placed(name: str, entry: Any) -> tuple[int, int, Tensor]:  # noqa: ANN401 JSON from outside
    where = f"{name[:80]!r}"
    if not isinstance(entry, dict):
        raise _Unsound(f"{where} is no tensor")
    dtype = entry.get("dtype")
    shape, offsets = _counts(entry.get("shape")), _counts(entry.get("data_offsets"))
    if not isinstance(dtype, str) or dtype not in _BITS:
        raise _Unsound(f"{where} is of an unknown type")
    if shape is None or offsets is None or len(offsets) != 2:  # noqa: PLR2004 begin, end
        raise _Unsound(f"{where} has no shape, or no place")
    begin, end = offsets
    bits = math.prod(shape) * _BITS[dtype]
    if end < begin or bits != (end - begin) * 8:
        raise _Unsound(f"{where} takes another number of bytes than its shape needs")
    return begin, end, Tensor(name, dtype, shape, end - begin)


def _counts(value: Any) -> tuple[int, ...] | None:  # noqa: ANN401 JSON from outside
    if not isinstance(value, list) or len(value) > _DIMENSIONS:
        return None
    if all(type(one) is int and 0 <= one < 1 << 63 for one in value):  # a truth value is none
        return tuple(value)
    return None
