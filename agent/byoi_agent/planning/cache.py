"""What a model remembers of the text so far, layer by layer, and the bytes that takes.

Full attention keeps a key and a value of each token for each KV head (two vectors of head size);
latent attention (DeepSeek's MLA) one compressed vector that all heads share; a sliding window only
the newest tokens; a state-space layer a state of one size, however long the text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, assert_never

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True)
class Attention:
    """One layer of attention over the last `window_tokens`, or over all."""

    kv_heads: int
    key_size: int
    value_size: int
    window_tokens: int | None = None


@dataclass(frozen=True)
class Latent:
    """One layer of latent attention; its vector is kept whole on each device."""

    size: int


@dataclass(frozen=True)
class State:
    """One state-space or linear-attention layer: numbers that are replaced, never added to."""

    elements: int


Memory: TypeAlias = Attention | Latent | State


@dataclass(frozen=True)
class Keeping:
    """How an engine keeps it.

    `block_tokens` is what it hands out at a time; `slack_tokens` what it keeps of a sliding window
    beyond the window itself (a step's tokens come in before the oldest go); `tensor_parallel`
    devices share the KV heads, of which each has at least one.
    """

    element_bytes: float = 2
    state_bytes: float = 2
    block_tokens: int = 16
    slack_tokens: int = 0
    tensor_parallel: int = 1


def bytes_per_token(memories: Iterable[Memory], keeping: Keeping, *, growing: bool = False) -> int:
    """What one more token takes on one device.

    With `growing`, only in the layers that never let go of it: the price of a token beyond all
    windows.
    """
    total = sum(
        _vector_elements(one, keeping.tensor_parallel)
        for one in memories
        if not (growing and isinstance(one, Attention) and one.window_tokens is not None)
    )
    return round(total * keeping.element_bytes)


def sequence_bytes(memories: Iterable[Memory], keeping: Keeping, context_tokens: int) -> int:
    """What one request of so many tokens takes on one device, in whole blocks."""
    total = 0.0
    for one in memories:
        if isinstance(one, State):
            total += -(-one.elements // keeping.tensor_parallel) * keeping.state_bytes
            continue
        kept = context_tokens
        if isinstance(one, Attention) and one.window_tokens is not None:
            kept = min(kept, one.window_tokens + keeping.slack_tokens)
        blocks = -(-kept // keeping.block_tokens)
        elements = _vector_elements(one, keeping.tensor_parallel)
        total += blocks * keeping.block_tokens * elements * keeping.element_bytes
    return round(total)


def state_bytes(memories: Iterable[Memory], keeping: Keeping) -> int:
    """What one request takes whatever its length."""
    return sequence_bytes((one for one in memories if isinstance(one, State)), keeping, 0)


def _vector_elements(memory: Memory, tensor_parallel: int) -> int:
    match memory:
        case Attention():
            heads = -(-memory.kv_heads // tensor_parallel)
            return heads * (memory.key_size + memory.value_size)
        case Latent():
            return memory.size
        case State():
            return 0
        case _:
            assert_never(memory)
