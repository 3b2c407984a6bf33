"""What a model is made of: its matrices and vectors, counted, each with what becomes of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Role = Literal["embedding", "head", "linear", "expert", "router", "vector", "vision"]
"""What decides how a part is stored and when it is read.

A quantiser packs `linear` and `expert`; `embedding` is looked up and not multiplied; `head` gives
the scores of all words; `vector` is norms, biases, convolutions and whatever else stays as it is;
`vision` is a tower beside the text model.
"""


@dataclass(frozen=True)
class Part:
    """`count` matrices of `inputs` x `outputs`; a token's way leads through `active` of them.

    One that `is_whole` no quantiser packs, whatever its role.
    """

    role: Role
    inputs: int
    outputs: int
    count: int = 1
    active: int = 1
    is_whole: bool = False

    @property
    def parameters(self) -> int:
        """Of all of them."""
        return self.inputs * self.outputs * self.count

    @property
    def active_parameters(self) -> int:
        """Of those that one token needs."""
        return self.inputs * self.outputs * self.active


def matrix(inputs: int, outputs: int, role: Role = "linear", *, bias: bool = False) -> list[Part]:
    """One matrix, and its bias where it has one."""
    return [Part(role, inputs, outputs), *(vector(outputs) if bias else [])]


def vector(size: int) -> list[Part]:
    """Numbers that no quantiser touches."""
    return [Part("vector", 1, size)]


def times(parts: list[Part], count: int, active: int | None = None) -> list[Part]:
    """The same parts `count` times over, all of them on a token's way unless `active` says less."""
    on_the_way = count if active is None else active
    return [
        replace(part, count=part.count * count, active=part.active * on_the_way) for part in parts
    ]
