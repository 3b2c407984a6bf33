"""One tensor as the head of a model's file tells of it; who reads such heads hands these over."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

_PLAIN: Final = frozenset({"F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2"})
_PACKED: Final = {"I32": 8, "U32": 8, "U8": 2, "F4": 1}
"""Weights in one stored number, where a quantiser packs four bits each into it."""


@dataclass(frozen=True)
class Tensor:
    """`kind` is its type's name in the file; `shape` as it is stored there."""

    name: str
    kind: str
    shape: tuple[int, ...]
    size_bytes: int

    @property
    def elements(self) -> int:
        """Numbers in it, as they are stored."""
        return math.prod(self.shape)

    @property
    def weights(self) -> int:
        """Weights in it, as far as its type tells."""
        return self.elements * _PACKED.get(self.kind, 1)

    @property
    def is_plain(self) -> bool:
        """Whether each of its numbers is one weight."""
        return self.kind in _PLAIN
