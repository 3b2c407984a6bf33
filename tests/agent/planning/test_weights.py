from __future__ import annotations

import pytest

from byoi_agent.planning.architecture import read
from byoi_agent.planning.fields import UnfitModel
from byoi_agent.planning.weights import (
    Quantisation,
    bytes_per_weight,
    named,
    quantisation_of,
    weight_bytes,
)

TINY = {
    "model_type": "llama", "hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 1,
    "num_attention_heads": 4, "vocab_size": 100,
}  # fmt: skip
PACKED = 4 * 256 * 256 + 3 * 256 * 512
"""Weights of its matrices; the other 51 968 are words, head and norms."""
REST_BYTES = 2 * (2 * 100 * 256 + 3 * 256)


def packed(**told):
    return quantisation_of({"quantization_config": told})


def test_weights_as_they_are_take_what_their_type_takes(config):
    llama = read(config("llama-3.1-8b"))
    assert weight_bytes(llama, None) == 16_060_522_496  # the index of its files says so
    assert weight_bytes(read({**TINY, "torch_dtype": "float32"}), None) == 2 * weight_bytes(
        read(TINY), None
    )


@pytest.mark.parametrize(
    ("told", "bytes_of_matrices"),
    [
        # Four bits, a scale of two bytes and a zero point of four bits for each group of 128.
        ({"quant_method": "awq", "bits": 4, "group_size": 128}, PACKED / 2 + PACKED / 128 * 2.5),
        # GPTQ besides: four bytes for each input, which are 6 x 256 + 512.
        (
            {"quant_method": "gptq", "bits": 4, "group_size": 128},
            PACKED / 2 + PACKED / 128 * 2.5 + 4 * 2048,
        ),
        # One group for all inputs: 4 x 256 + 2 x 512 + 256 outputs.
        ({"quant_method": "awq", "group_size": -1}, PACKED / 2 + 2304 * 2.5),
        ({"quant_method": "awq", "w_bit": 4, "q_group_size": -1}, PACKED / 2 + 2304 * 2.5),
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, PACKED + PACKED / 16384 * 4),
        ({"quant_method": "fbgemm_fp8"}, PACKED + 2304 * 4),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, PACKED / 2 + PACKED / 16),
        ({"quant_method": "modelopt", "quant_algo": "FP8"}, PACKED + 2304 * 4),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, PACKED + 2304 * 4),
        ({"quant_method": "bitsandbytes"}, PACKED / 2 + PACKED / 64 * 4),
        (
            {"quant_method": "bitsandbytes", "bnb_4bit_use_double_quant": True},
            PACKED / 2 + PACKED / 64 * (1 + 4 / 256),
        ),
        ({"quant_method": "mxfp4"}, PACKED * 2),  # it has no experts to pack
    ],
)
def test_packed_weights_bring_their_scales_and_leave_the_rest_as_it_is(told, bytes_of_matrices):
    size = weight_bytes(read(TINY), packed(**told))
    assert size == pytest.approx(bytes_of_matrices + REST_BYTES, abs=1)


@pytest.mark.parametrize(
    ("weights", "bytes_of_matrices", "name"),
    [
        ({"num_bits": 4, "type": "int", "group_size": 128}, PACKED / 2 + PACKED / 64, "int4"),
        ({"num_bits": 8, "type": "float", "strategy": "tensor"}, PACKED + 7 * 2, "fp8"),
        ({"num_bits": 8, "type": "float", "strategy": "channel"}, PACKED + 2304 * 2, "fp8"),
        (
            {"num_bits": 4, "type": "float", "strategy": "tensor_group", "group_size": 16},
            PACKED / 2 + PACKED / 16,
            "fp4",
        ),
    ],
)
def test_compressed_tensors_say_how_they_group(weights, bytes_of_matrices, name):
    found = packed(
        quant_method="compressed-tensors", config_groups={"group_0": {"weights": weights}}
    )
    assert found.name == f"compressed-tensors {name}"
    assert weight_bytes(read(TINY), found) == pytest.approx(bytes_of_matrices + REST_BYTES, abs=1)


def test_compressed_tensors_that_do_not_say_how_are_refused():
    for groups in ([1], {}, {"group_0": {"weights": None}}):
        with pytest.raises(UnfitModel, match="does not say"):
            packed(quant_method="compressed-tensors", config_groups=groups)


def test_kimi_k2_thinking_packs_its_routed_experts_alone(config):
    """594 GB on the hub (compressed-tensors, int4 by 32)."""
    weights = {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 32}
    told = {
        **config("deepseek-v3"),
        "n_routed_experts": 384,
        "first_k_dense_replace": 1,
        "num_attention_heads": 64,
        "vocab_size": 163_840,
        "num_key_value_heads": 64,
        "quantization_config": {
            "quant_method": "compressed-tensors",
            "config_groups": {"group_0": {"weights": weights}},
            "ignore": [
                *("lm_head", "re:.*self_attn.*", "re:.*shared_experts.*"),
                r"re:.*mlp\.(gate|up|gate_up|down)_proj.*",
            ],
        },
    }
    assert weight_bytes(read(told), quantisation_of(told)) == pytest.approx(594e9, rel=0.005)


def test_llama_405b_in_fp8_leaves_attention_and_two_whole_layers_as_they_are(config):
    """By hand: a byte for each weight, and a second one for those that its list names."""
    told = config("llama-3.1-405b")
    left = [f"model.layers.{one}.self_attn.{name}_proj" for one in range(126) for name in "qkvo"]
    left += [f"model.layers.{one}.mlp.{name}_proj" for one in (0, 125) for name in ("up", "down")]
    told["quantization_config"] = {
        "quant_method": "fbgemm_fp8",
        "modules_to_not_convert": [*left, "lm_head"],
    }
    attention = 126 * (2 * 16384 * 16384 + 2 * 16384 * 1024)
    words = 2 * 128_256 * 16384
    second = attention + words + 2 * 3 * 16384 * 53248
    found = weight_bytes(read(told), quantisation_of(told))
    assert found == pytest.approx(405.85e9 + second, rel=0.001)
    del told["quantization_config"]["modules_to_not_convert"]
    assert found - weight_bytes(read(told), quantisation_of(told)) > 70e9


def test_gpt_oss_packs_its_experts_alone(config):
    told = config("gpt-oss-20b")
    # The card: 12.8 GiB of checkpoint for 20.9 billion parameters.
    assert weight_bytes(read(told), quantisation_of(told)) == pytest.approx(12.8 * 2**30, rel=0.01)


def test_deepseek_comes_in_fp8(config):
    told = config("deepseek-v3")
    assert weight_bytes(read(told), quantisation_of(told)) == pytest.approx(671e9, rel=0.01)


def test_a_gguf_mixture_is_known_by_its_average(config):
    llama = read(config("llama-3.1-8b"))
    # llama.cpp's table for this very model: 4.58 GiB, 7.95 GiB.
    assert weight_bytes(llama, named("Q4_K_M")) == pytest.approx(4.58 * 2**30, rel=0.01)
    assert weight_bytes(llama, named("q8_0")) == pytest.approx(7.95 * 2**30, rel=0.01)


def test_no_quantisation_is_none_and_an_unknown_one_is_refused():
    assert quantisation_of({}) is None
    with pytest.raises(UnfitModel, match=r"'quip'.*safetensors"):
        packed(quant_method="quip")
    with pytest.raises(UnfitModel, match=r"'q9'.*q4_k_m"):
        named("q9")
    assert named("awq").bits == 4


def test_what_one_weight_takes_when_it_is_read():
    awq = named("awq")
    assert bytes_per_weight(None, 2, "linear") == 2
    assert bytes_per_weight(awq, 2, "head") == 2
    assert bytes_per_weight(awq, 2, "linear") == 0.5 + 2.5 / 128
    assert bytes_per_weight(named("q8_0"), 2, "head") == 8.5 / 8
    assert bytes_per_weight(Quantisation("a", 8), 2, "linear") == 1


@pytest.mark.parametrize("given", ["awq", [4]])
def test_what_is_no_description_of_a_quantisation_is_refused(given):
    with pytest.raises(UnfitModel, match="quantization_config is no object"):
        quantisation_of({"quantization_config": given})
