from __future__ import annotations

import pytest

from byoi_agent.planning.left_whole import left_whole


def left(*names, key="ignore"):
    return left_whole({"quantization_config": {key: list(names)}})


@pytest.mark.parametrize(
    "config",
    [{}, {"quantization_config": "fp8"}, {"quantization_config": {"ignore": "lm_head"}}],
)
def test_without_a_list_everything_is_packed(config):
    assert not left_whole(config).has("attention", 0)


@pytest.mark.parametrize(
    "key",
    [
        *("modules_to_not_convert", "ignore", "ignored_layers", "exclude_modules"),
        "llm_int8_skip_modules",
    ],
)
def test_every_quantiser_s_word_for_the_list_is_known(key):
    assert left("self_attn", key=key).has("attention", 7)


def test_the_compressor_s_older_object_has_the_list_too():
    assert left_whole({"compression_config": {"ignore": ["self_attn"]}}).has("attention", 0)


@pytest.mark.parametrize(
    ("name", "kind", "layers"),
    [
        ("model.layers.1.self_attn.o_proj", "attention", {1}),
        ("model.layers.1.self_attn", "attention", {1}),
        ("model.language_model.layers.2", "dense", {2}),
        ("language_model.model.layers.2.feed_forward.shared_expert.down_proj", "shared", {2}),
        ("model.layers.0.mlp.down_proj", "dense", {0}),
        ("model.layers.1.linear_attn.out_proj", "delta", {1}),
        ("backbone.layers.1.mixer.out_proj", "mamba", {1}),
        ("model.layers.0.mlp.experts.0.down_proj", "expert", {0}),
        ("self_attn.o_proj", "attention", {0, 1, 2}),
        ("re:.*self_attn.*", "attention", {0, 1, 2}),
        (r"re:.*layers\.\d+\.self_attn\.o_proj$", "attention", {0, 1, 2}),
        ("model.layers.*.self_attn", "attention", {0, 1, 2}),
        ("model.layers.1*", "dense", {1}),
        (r"re:.*mlp\.(gate|up|gate_up|down)_proj.*", "dense", {0, 1, 2}),
        (r"re:.*layers\.(?:0|2)\.mlp.*", "dense", {0, 2}),
        ("re:.*", "attention", {0, 1, 2}),
    ],
)
def test_names_and_patterns_leave_the_layers_that_they_name(name, kind, layers):
    found = left("lm_head", name)
    assert {layer for layer in range(3) if found.has(kind, layer)} == layers


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("lm_head", "attention"),
        ("gate", "dense"),  # a router's, and no part of `gate_proj`
        ("model.layers.0.mlp.gate", "expert"),
        ("model.layers.10.self_attn", "attention"),
        ("model.layers.0.self_attn.k_norm", "attention"),
        (r"re:.*mlp\.(gate|up|gate_up|down)_proj.*", "expert"),
        ("visual.layers.0.self_attn.o_proj", "attention"),  # of another tower
        ("re:vision_tower.*", "attention"),
        ("re:vision_tower.layers.*", "attention"),
        ("", "attention"),
        ("re:(?!x)self_attn", "attention"),  # more than we take apart
        ("re:" + "(a|b)" * 7 + "*", "attention"),
        (r"re:.*o_proj.*self_attn", "attention"),
    ],
)
def test_what_a_name_does_not_mean_is_packed(name, kind):
    assert not left(name).has(kind, 0)


def test_what_is_no_name_is_passed_over():
    assert left(None, 3, {}, "self_attn").has("attention", 0)


def test_a_pattern_that_never_ends_when_it_is_run_costs_nothing():
    assert not left("re:(a+)+$", "re:" + ".*a" * 5000).has("attention", 0)
