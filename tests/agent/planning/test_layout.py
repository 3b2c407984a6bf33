from __future__ import annotations

import pytest

from byoi_agent.planning.families import Family
from byoi_agent.planning.fields import Fields, UnfitModel
from byoi_agent.planning.layout import feeds, layer_count, mixers, windows

MIXTURE = {"num_experts": 8}


def letters(model_type, config, layers):
    return "".join(
        "+".join(one[0] for one in kinds) for kinds in mixers(model_type, Fields(config), layers)
    )


def dense_or_not(config, layers=4, model_type="any", has_experts=True):
    found = feeds(model_type, Fields(config), Family(has_experts=has_experts), layers)
    return "".join(one[0] for one in found)


def test_layers_are_counted_by_whatever_name():
    assert layer_count(Fields({"num_hidden_layers": 3})) == 3
    assert layer_count(Fields({"n_layer": 4})) == 4
    assert layer_count(Fields({"hybrid_override_pattern": "M-*"})) == 3
    with pytest.raises(UnfitModel, match="2001 layers"):
        layer_count(Fields({"num_hidden_layers": 2001}))


@pytest.mark.parametrize(
    ("model_type", "config", "kinds"),
    [
        ("llama", {}, "aaaa"),
        ("mamba", {}, "mmmm"),
        ("falcon_h1", {}, "a+ma+ma+ma+m"),
        ("jamba", {"attn_layer_period": 3, "attn_layer_offset": 1}, "mamm"),
        ("jamba", {}, "mmmm"),
        ("bamba", {"attn_layer_indices": [2, "odd"]}, "mmam"),
        ("qwen3_next", {}, "ddda"),
        ("qwen3_next", {"layer_types": ["full_attention", "linear_attention"] * 2}, "adad"),
        ("granitemoehybrid", {"layer_types": ["mamba", "attention"] * 2}, "mama"),
        ("nemotron_h", {"hybrid_override_pattern": "M-*E"}, "mnan"),
        (
            "nemotron_h",
            {"mamba_num_heads": 2, "layers_block_type": ["mamba", "moe", "full_attention", "mlp"]},
            "mnan",
        ),
    ],
)
def test_what_each_layer_mixes_by(model_type, config, kinds):
    assert letters(model_type, config, 4) == kinds


def test_a_pattern_that_nobody_knows_is_refused():
    with pytest.raises(UnfitModel, match="hybrid_override_pattern"):
        layer_count(Fields({"hybrid_override_pattern": "MX"}))
    with pytest.raises(UnfitModel, match="hybrid_override_pattern"):
        layer_count(Fields({"mamba_num_heads": 2, "layers_block_type": ["what"]}))


def test_a_pattern_that_is_missing_is_missed():
    with pytest.raises(UnfitModel, match="no hybrid_override_pattern"):
        mixers("nemotron_h", Fields({"num_hidden_layers": 4}), 4)


@pytest.mark.parametrize(
    ("config", "found"),
    [
        ({}, "dddd"),
        (MIXTURE, "eeee"),
        ({**MIXTURE, "first_k_dense_replace": 2}, "ddee"),
        ({**MIXTURE, "mlp_only_layers": [0, 3]}, "deed"),
        ({**MIXTURE, "moe_layers": [1]}, "dedd"),
        ({**MIXTURE, "mlp_layer_types": ["dense", "sparse", "sparse", "sparse"]}, "deee"),
        ({**MIXTURE, "interleave_moe_layer_step": 2}, "dede"),
        ({**MIXTURE, "expert_layer_period": 2, "expert_layer_offset": 1}, "dede"),
        ({**MIXTURE, "decoder_sparse_step": 2}, "dede"),
    ],
)
def test_where_the_experts_are(config, found):
    assert dense_or_not(config) == found


def test_some_layers_have_nothing_after_their_mixer():
    assert dense_or_not(MIXTURE, model_type="mamba2") == "nnnn"
    pattern = {"hybrid_override_pattern": "M-*E"}
    assert dense_or_not(pattern, model_type="nemotron_h") == "ndne"
    assert dense_or_not(MIXTURE, has_experts=False) == "dddd"


@pytest.mark.parametrize(
    ("family", "config", "found"),
    [
        (Family(windows="all"), {}, [None] * 4),
        (Family(windows="all"), {"sliding_window": 9}, [9] * 4),
        (Family(), {"sliding_window": 9}, [None] * 4),
        (Family(windows="alternating"), {"sliding_window": 9}, [9, None, 9, None]),
        (
            Family(windows="alternating"),
            {"sliding_window": 9, "sliding_window_pattern": 4},
            [9, 9, 9, None],
        ),
        (Family(windows="late"), {"sliding_window": 9}, [None] * 4),
        (
            Family(windows="late"),
            {"sliding_window": 9, "use_sliding_window": True, "max_window_layers": 3},
            [None, None, None, 9],
        ),
        (
            Family(),
            {"sliding_window": 9, "layer_types": ["sliding_attention", "full_attention"] * 2},
            [9, None, 9, None],
        ),
        (
            Family(windows="all"),
            {"sliding_window": 9, "layer_types": ["full_attention"] * 4},
            [None] * 4,
        ),
        (Family(), {"attention_chunk_size": 8}, [8, 8, 8, None]),
        (
            Family(),
            {"attention_chunk_size": 8, "no_rope_layers": [0, 1, 1, 1]},
            [None, 8, 8, 8],
        ),
    ],
)
def test_which_layers_have_a_window(family, config, found):
    assert windows(Fields(config), family, 4) == found
