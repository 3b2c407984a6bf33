from __future__ import annotations

import pytest

from byoi_agent.planning.families import ALWAYS, Family
from byoi_agent.planning.feed_forward import dense, experts, experts_of, has_experts, shared_only
from byoi_agent.planning.fields import Fields, UnfitModel

MIXTURE = {"hidden_size": 8, "moe_intermediate_size": 4, "num_experts": 16}


def count(parts):
    return sum(part.parameters for part in parts)


def test_a_gate_is_a_third_matrix():
    fields = Fields({"hidden_size": 8, "intermediate_size": 32})
    assert count(dense(fields, Family())) == 3 * 256
    assert count(dense(fields, Family(is_gated=False))) == 2 * 256
    assert count(dense(fields, Family(is_gated=False, mlp_bias=ALWAYS))) == 2 * 256 + 32 + 8


def test_the_inner_size_is_four_times_the_hidden_one_if_nobody_says():
    assert count(dense(Fields({"n_embd": 8}), Family(is_gated=False))) == 2 * 256
    wide = Fields({"d_model": 8, "expansion_ratio": 2})
    assert count(dense(wide, Family(is_gated=False))) == 2 * 128


def test_a_token_sees_some_of_the_experts_and_the_whole_router():
    parts = experts(Fields({**MIXTURE, "num_experts_per_tok": 2}), Family())
    assert count(parts) == 16 * 3 * 32 + 8 * 16
    assert sum(part.active_parameters for part in parts) == 2 * 3 * 32 + 8 * 16
    assert {part.role for part in parts} == {"expert", "router"}


def test_experts_may_have_biases_and_so_may_the_router():
    parts = experts(Fields(MIXTURE), Family(expert_bias=True, router_bias=True))
    assert count(parts) == 16 * (3 * 32 + 4 + 4 + 8) + 8 * 16 + 16
    assert {part.role for part in parts} == {"expert", "router", "vector"}


@pytest.mark.parametrize(
    ("more", "family", "shared"),
    [
        ({"n_shared_experts": 2}, Family(), 3 * 8 * 8),
        ({"shared_expert_intermediate_size": 6}, Family(), 3 * 8 * 6),
        ({"shared_expert_intermediate_size": 6}, Family(shared_gate=True), 3 * 8 * 6 + 8),
        ({"interleave_moe_layer_step": 1}, Family(), 3 * 8 * 4),
        ({"shared_intermediate_size": 5}, Family(), 3 * 8 * 5),
    ],
)
def test_shared_experts_are_seen_by_all(more, family, shared):
    alone = count(experts(Fields(MIXTURE), family))
    assert count(experts(Fields({**MIXTURE, **more}), family)) - alone == shared


def test_what_granite_shares_stands_alone_where_it_has_no_experts():
    fields = Fields({"hidden_size": 8, "shared_intermediate_size": 5})
    assert count(shared_only(fields, Family())) == 3 * 8 * 5


def test_more_experts_for_a_token_than_there_are_is_refused():
    with pytest.raises(UnfitModel, match="sees 17 experts, of which there are 16"):
        experts_of(Fields({**MIXTURE, "num_experts_per_tok": 17}))


def test_one_expert_is_no_mixture():
    assert has_experts(Fields(MIXTURE))
    assert not has_experts(Fields({"num_experts": 1}))
    assert not has_experts(Fields({}))
