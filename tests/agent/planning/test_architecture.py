from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byoi_agent.planning.architecture import Architecture, read, text_model
from byoi_agent.planning.cache import Attention, Keeping, Latent, State, bytes_per_token
from byoi_agent.planning.fields import UnfitModel

MODELS = {
    path.stem: json.loads(path.read_text())
    for path in sorted((Path(__file__).parent / "models").glob("*.json"))
}
each_model = pytest.mark.parametrize("told", MODELS.values(), ids=MODELS)

TINY: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vocab_size": 100,
}


def body(architecture: Architecture) -> int:
    tables = {"embedding", "head", "vision"}
    return sum(part.active_parameters for part in architecture.parts if part.role not in tables)


def test_there_are_many_published_models():
    assert len(MODELS) >= 40


@each_model
def test_parameters_are_those_of_the_model_s_card(told: dict[str, Any]):
    published = told["published"]["parameters"]
    assert read(told["config"]).parameters == pytest.approx(published, rel=0.001)


@each_model
def test_a_token_s_bytes_are_those_of_the_model_s_paper(told: dict[str, Any]):
    memories = read(told["config"]).memories
    assert bytes_per_token(memories, Keeping()) == told["kv_bytes_per_token"]
    growing = bytes_per_token(memories, Keeping(), growing=True)
    assert growing == told["growing_bytes_per_token"]


@pytest.mark.parametrize(
    "told", [one for one in MODELS.values() if one["published"]["active_parameters"]],
    ids=lambda told: told["model"],
)  # fmt: skip
def test_active_parameters_are_those_of_the_card_as_it_counts_them(told: dict[str, Any]):
    architecture = read(told["config"])
    counted = {
        "all": architecture.active_parameters,
        "without the input table of words": architecture.computed_parameters,
        "without both tables of words": body(architecture),
    }[told["published"]["active_counts"]]
    assert counted == pytest.approx(told["published"]["active_parameters"], rel=0.03)


def test_a_tied_head_is_multiplied_with_and_an_untied_table_is_not():
    tied = read({**TINY, "tie_word_embeddings": True})
    untied = read(TINY)
    assert untied.parameters - tied.parameters == 6400
    assert tied.computed_parameters == tied.parameters
    assert untied.computed_parameters == untied.parameters - 6400


def test_the_text_model_is_found_inside_of_one_that_sees():
    assert text_model({"model_type": "gemma3", "text_config": {"a": 1}}) == (
        {"a": 1},
        "gemma3_text",
    )
    inner = {"model_type": "mistral", "hidden_size": 8}
    assert text_model({"model_type": "llava", "text_config": inner}) == (inner, "mistral")
    assert text_model({"model_type": "llama", "text_config": {}})[1] == "llama"


def test_tying_may_be_told_outside_of_the_text_model():
    inner = {name: value for name, value in TINY.items() if name != "model_type"}
    outer = {"model_type": "llava", "text_config": inner, "tie_word_embeddings": True}
    assert read(outer).is_tied
    assert read(outer).parameters == read({**TINY, "tie_word_embeddings": True}).parameters


def test_weights_of_four_bytes_are_told_by_the_config():
    assert read({**TINY, "dtype": "float32"}).dtype_bytes == 4
    assert read({**TINY, "torch_dtype": "bfloat16"}).dtype_bytes == 2


def test_an_unknown_family_is_named_with_the_nearest_that_is_known():
    with pytest.raises(UnfitModel, match=r"'llamas'.*it does know 'llama'.*safetensors"):
        read({**TINY, "model_type": "llamas"})
    with pytest.raises(UnfitModel, match=r"'zebra9'; with"):
        read({**TINY, "model_type": "zebra9"})
    with pytest.raises(UnfitModel, match="names no model_type"):
        read({})


def test_opt_s_narrow_table_of_words_is_widened_and_narrowed_again():
    opt = {
        "model_type": "opt", "hidden_size": 8, "ffn_dim": 16, "num_hidden_layers": 1,
        "num_attention_heads": 2, "vocab_size": 10, "max_position_embeddings": 4,
        "do_layer_norm_before": False,
    }  # fmt: skip
    narrow = read({**opt, "word_embed_proj_dim": 4}).parameters
    assert narrow - read(opt).parameters == 10 * 4 - 10 * 8 + 2 * 8 * 4


def test_bloom_normalises_its_table_of_words():
    bloom = {"model_type": "bloom", "n_embed": 0, "hidden_size": 8, "n_layer": 1, "n_head": 2}
    # Words, their norm, the last norm, and a layer: norms, attention and feed-forward with biases.
    layer = 32 + (3 * 64 + 24) + 72 + (2 * 256 + 32 + 8)
    assert read({**bloom, "vocab_size": 10}).parameters == 80 + 16 + 16 + layer


@pytest.mark.parametrize(
    ("more", "norms"),
    [
        ({"parallel_attn": False}, 2),
        ({}, 1),
        ({"new_decoder_architecture": True}, 2),
        ({"new_decoder_architecture": True, "num_ln_in_parallel_attn": 1}, 1),
    ],
)
def test_falcon_s_layers_differ_in_their_norms(more: dict[str, Any], norms: int):
    falcon = {
        "model_type": "falcon", "hidden_size": 8, "num_hidden_layers": 1, "vocab_size": 10,
        "num_attention_heads": 2,
    }  # fmt: skip
    assert read({**falcon, **more}).parameters == 80 + 16 + norms * 16 + 4 * 64 + 2 * 8 * 32


def test_each_kind_of_memory_comes_from_its_kind_of_layer():
    jamba, deepseek = read(MODELS["jamba-v0.1"]["config"]), read(MODELS["deepseek-v3"]["config"])
    assert [type(one) for one in jamba.memories].count(Attention) == 4
    assert [type(one) for one in jamba.memories].count(State) == 28
    assert deepseek.memories == (Latent(576),) * 61
    both = read(MODELS["falcon-h1-7b"]["config"]).memories
    assert [type(one) for one in both[:2]] == [Attention, State]
    assert read(MODELS["qwen3-next-80b-a3b"]["config"]).active_experts == 10
    assert read(MODELS["falcon-mamba-7b"]["config"]).heads == 0


def test_granite_4_without_experts_has_its_shared_part_alone():
    config = {**MODELS["granite-4.0-h-small"]["config"], "num_local_experts": 0}
    dense = read(config)
    assert dense.experts == 0
    assert not [part for part in dense.parts if part.role == "expert"]


@given(
    st.sampled_from(sorted(MODELS)),
    st.integers(0, 40),
    st.sampled_from([None, 0, -1, 1, 10**8, 10**9, 1.5, "x", [], [1, "a"], {}, True, {"a": 1}]),
)
def test_a_config_of_somebody_s_is_read_or_refused_and_nothing_else(name, field, value):
    config = MODELS[name]["config"]
    names = sorted(config)
    try:
        found = read({**config, names[field % len(names)]: value})
    except UnfitModel:
        return
    assert found.parameters > 0


def test_a_long_name_of_an_unknown_family_does_not_fill_the_screen():
    with pytest.raises(UnfitModel) as refused:
        read({"model_type": "x" * 100_000})
    assert len(str(refused.value)) < 300
