from __future__ import annotations

import pytest

from byoi_agent.planning.architecture import read
from byoi_agent.planning.dialects import DIALECTS, translated, type_of
from byoi_agent.planning.families import FAMILIES
from byoi_agent.planning.fields import UnfitModel

TINY = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 100,
    "max_position_embeddings": 128,
}


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_each_is_of_a_family_that_there_is(dialect):
    assert dialect.family in FAMILIES


def test_what_has_a_family_of_its_own_is_left_as_it_is():
    config = {"model_type": "llama", "bias": True}
    assert translated(config, "llama") == (config, "llama")


def test_words_become_the_familys():
    told, family = translated({"num_layers": 3, "bias": True}, "exaone")
    assert (told["num_hidden_layers"], family) == (3, "llama")
    assert translated({"bias": True}, "internlm")[0]["attention_bias"] is True


def test_objects_inside_are_unfolded_and_what_is_none_is_left_out():
    config = {"attn_config": {"kv_n_heads": 8}, "ffn_config": "nonsense"}
    told, family = translated(config, "dbrx")
    assert (told["num_key_value_heads"], family) == (8, "dbrx")


def test_a_feed_forward_part_that_is_counted_whole_is_halved():
    assert translated({"intermediate_size": 22016}, "qwen")[0]["intermediate_size"] == 11008
    for wrong in (3, True, None, "8"):
        with pytest.raises(UnfitModel, match="has a half"):
            translated({"intermediate_size": wrong}, "qwen")


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"model_type": "qwen2", "architectures": ["LlamaForCausalLM"]}, "qwen2"),
        ({"architectures": ["LlamaForCausalLM"]}, "llama"),
        ({"architectures": ["Qwen2MoeForCausalLM"]}, "qwen2_moe"),
        ({"architectures": ["GPT2LMHeadModel"]}, "gpt2"),
        ({"architectures": ["YiForCausalLM"]}, "Yi"),
        ({"architectures": ["NobodyForCausalLM"]}, ""),
        ({"architectures": []}, ""),
        ({"architectures": "LlamaForCausalLM"}, ""),
        ({}, ""),
    ],
)
def test_a_config_without_a_type_is_known_by_its_architecture(config, expected):
    assert type_of(config) == expected


@pytest.mark.parametrize(
    ("family", "more", "parameters"),
    [
        ("apertus", {}, 243_520),  # and two numbers in each layer, of its activation
        ("arcee", {}, 243_264),
        ("persimmon", {"num_key_value_heads": 4}, 280_704),
        ("qwen3_5_text", {"head_dim": 16}, 6_757_120),
        (
            "qwen3_5_moe_text",
            {
                "head_dim": 16,
                "num_experts": 8,
                "num_experts_per_tok": 2,
                "moe_intermediate_size": 32,
                "shared_expert_intermediate_size": 32,
            },
            7_007_488,
        ),
        (
            "dots1",
            {
                "n_routed_experts": 8,
                "num_experts_per_tok": 2,
                "moe_intermediate_size": 32,
                "n_shared_experts": 1,
                "first_k_dense_replace": 1,
            },
            527_680,
        ),
        ("hunyuan_v1_moe", {"num_experts": 8, "moe_topk": 2}, 1_886_016),
    ],
)
def test_parameters_are_those_that_transformers_makes_of_it(family, more, parameters):
    config = {"model_type": family, **TINY, "num_hidden_layers": 8, **more}
    assert read(config).parameters == parameters
