"""State-space and linear-attention layers: their matrices, and the state that stands for the text.

A state holds the newest inputs of a short convolution, and what the recurrence has made of all the
others: one size, however long the text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from byoi_agent.planning.attention import hidden_of
from byoi_agent.planning.cache import State
from byoi_agent.planning.parts import Part, matrix, vector

if TYPE_CHECKING:
    from byoi_agent.planning.fields import Fields


def mamba(fields: Fields, *, has_inner_norms: bool) -> tuple[list[Part], State]:
    """Mamba (Gu and Dao 2023); Jamba normalises what the recurrence is steered by."""
    hidden = hidden_of(fields)
    inner = hidden * fields.size("mamba_expand", "expand", default=2)
    if not has_inner_norms:  # in Jamba that is the size of its feed-forward part
        inner = fields.size("intermediate_size", default=inner)
    states = fields.size("mamba_d_state", "state_size", default=16)
    kernel = fields.size("mamba_d_conv", "conv_kernel", default=4)
    rank = -(-hidden // 16)
    if fields.text("mamba_dt_rank", "time_step_rank", default="a number") != "auto":
        rank = fields.size("mamba_dt_rank", "time_step_rank", default=rank)
    bias = fields.flag("mamba_proj_bias", "use_bias")
    parts = [
        *matrix(hidden, 2 * inner, bias=bias),
        *_convolution(fields, inner, kernel),
        *matrix(inner, rank + 2 * states),
        *matrix(rank, inner, bias=True),
        *vector(inner * states + inner),
        *matrix(inner, hidden, bias=bias),
        *(vector(rank + 2 * states) if has_inner_norms else []),
    ]
    return parts, State(inner * (kernel - 1) + inner * states)


def mamba2(fields: Fields, *, has_norm: bool = True) -> tuple[list[Part], State]:
    """Mamba-2 (Dao and Gu 2024): heads with one decay each, groups that share their steering."""
    hidden = hidden_of(fields)
    heads = fields.size("mamba_n_heads", "mamba_num_heads", "num_heads")
    inner = _inner(fields, hidden, heads)
    groups = fields.size("mamba_n_groups", "n_groups", default=1)
    states = fields.size("mamba_d_state", "ssm_state_size", "state_size", default=128)
    kernel = fields.size("mamba_d_conv", "conv_kernel", default=4)
    steered = inner + 2 * groups * states
    bias = fields.flag("mamba_proj_bias", "use_bias")
    parts = [
        *matrix(hidden, inner + steered + heads, bias=bias),
        *_convolution(fields, steered, kernel),
        *vector(3 * heads),  # the decay, its step's bias, and what passes straight through
        *(vector(inner) if has_norm else []),
        *matrix(inner, hidden, bias=fields.flag("projectors_bias", default=bias)),
    ]
    return parts, State(steered * (kernel - 1) + inner * states)


def delta_net(fields: Fields) -> tuple[list[Part], State]:
    """Gated DeltaNet (Yang, Kautz and Hatamizadeh 2024), as Qwen3-Next has it."""
    hidden = hidden_of(fields)
    key_heads, value_heads = (
        fields.size("linear_num_key_heads", default=16),
        fields.size("linear_num_value_heads", default=32),
    )
    key_size = fields.size("linear_key_head_dim", default=128)
    value_size = fields.size("linear_value_head_dim", default=128)
    kernel = fields.size("linear_conv_kernel_dim", default=4)
    keys, values = key_heads * key_size, value_heads * value_size
    mixed = 2 * keys + values
    parts = [
        *matrix(hidden, mixed + values),
        *matrix(hidden, 2 * value_heads),
        *vector(mixed * kernel),
        *vector(2 * value_heads + value_size),
        *matrix(values, hidden),
    ]
    return parts, State(mixed * (kernel - 1) + value_heads * key_size * value_size)


def _inner(fields: Fields, hidden: int, heads: int) -> int:
    if fields.has("mamba_d_ssm"):
        return fields.size("mamba_d_ssm")
    if fields.has("mamba_head_dim", "head_dim") and fields.has("mamba_num_heads", "num_heads"):
        return heads * fields.size("mamba_head_dim", "head_dim")
    return hidden * fields.size("mamba_expand", "expand", default=2)


def _convolution(fields: Fields, channels: int, kernel: int) -> list[Part]:
    bias = fields.flag("mamba_conv_bias", "use_conv_bias", default=True)
    return vector(channels * kernel + (channels if bias else 0))
