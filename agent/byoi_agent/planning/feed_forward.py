"""One layer's feed-forward part: dense, or experts of which a token sees a few."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from byoi_agent.planning.attention import hidden_of
from byoi_agent.planning.fields import UnfitModel
from byoi_agent.planning.parts import matrix, times

if TYPE_CHECKING:
    from byoi_agent.planning.families import Family
    from byoi_agent.planning.fields import Fields
    from byoi_agent.planning.parts import Part

_COUNT: Final = ("n_routed_experts", "num_local_experts", "num_experts", "moe_num_experts")
_ACTIVE: Final = ("num_experts_per_tok", "num_experts_per_token", "moe_k", "moe_topk")


def dense(fields: Fields, family: Family) -> list[Part]:
    """Up, down, and the gate where the family has one."""
    hidden = hidden_of(fields)
    names = ("intermediate_size_mlp", "intermediate_size", "ffn_dim", "n_inner", "ffn_hidden_size")
    inner = fields.size(*names, default=hidden * fields.count("expansion_ratio", default=4))
    return _network(hidden, inner, family, bias=family.mlp_bias.read(fields))


def experts(fields: Fields, family: Family) -> list[Part]:
    """Routed experts, the router, and what all tokens share.

    Raises:
        UnfitModel: a token would see more experts than there are.
    """
    hidden, count, active = hidden_of(fields), *experts_of(fields)
    inner = fields.size("moe_intermediate_size", "intermediate_size")
    one = _network(hidden, inner, family, bias=family.expert_bias)
    packed = [replace(part, role="expert") if part.role == "linear" else part for part in one]
    return [
        *times(packed, count, active),
        *matrix(hidden, count, "router", bias=family.router_bias),
        *_shared(fields, family, inner),
    ]


def experts_of(fields: Fields) -> tuple[int, int]:
    """How many there are in a layer, and how many a token sees.

    Raises:
        UnfitModel: more than there are.
    """
    count = fields.count(*_COUNT, default=0)
    active = fields.count(*_ACTIVE, default=1)
    if active > count:
        raise UnfitModel(f"config.json: a token sees {active} experts, of which there are {count}")
    return count, active


def has_experts(fields: Fields) -> bool:
    """Whether it is a mixture at all; some families come in both forms."""
    return fields.count(*_COUNT, default=0) > 1


def shared_only(fields: Fields, family: Family) -> list[Part]:
    """What Granite 4 has in each layer, and nothing else there where it has no experts."""
    inner = fields.size("shared_intermediate_size")
    return _network(hidden_of(fields), inner, family, bias=False)


def _shared(fields: Fields, family: Family, inner: int) -> list[Part]:
    hidden = hidden_of(fields)
    if fields.has("shared_intermediate_size"):
        return shared_only(fields, family)
    # Llama 4 has one of the routed ones' size, and no field that says so.
    count = fields.count("n_shared_experts", "moe_num_shared_experts", default=0)
    if fields.has("interleave_moe_layer_step"):
        count = 1
    size = fields.count(
        "moe_shared_expert_intermediate_size", "shared_expert_intermediate_size",
        default=inner * count,
    )  # fmt: skip
    if not size:
        return []
    gate = matrix(hidden, 1, "router") if family.shared_gate else []
    return [*_network(hidden, size, family, bias=False), *gate]


def _network(hidden: int, inner: int, family: Family, *, bias: bool) -> list[Part]:
    ups = 2 if family.is_gated else 1
    return [*times(matrix(hidden, inner, bias=bias), ups), *matrix(inner, hidden, bias=bias)]
