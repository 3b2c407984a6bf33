from __future__ import annotations

import pytest

from byoi_agent.planning.facts import from_config, from_safetensors
from byoi_agent.planning.fields import UnfitModel
from byoi_agent.planning.tensors import Tensor


def tensor(kind, elements, size):
    return Tensor("a", kind, (elements,), size)


def test_a_config_alone_tells_everything(facts):
    llama = facts("llama-3.1-8b")
    assert (llama.origin, llama.quantisation) == ("config.json", "bf16")
    assert llama.weight_bytes == 2 * llama.parameters
    # Untied: the table of words is looked up in, not read.
    assert llama.read_bytes == llama.weight_bytes - 2 * 128_256 * 4096


def test_a_tied_head_is_read_for_every_token(facts):
    small = facts("smollm2-135m")
    assert small.read_bytes == small.weight_bytes == 269_030_016


def test_another_quantisation_may_be_asked_about(facts):
    assert facts("llama-3.1-8b", "awq").quantisation == "awq"
    assert facts("deepseek-v3", "bf16").weight_bytes == 2 * facts("deepseek-v3").parameters
    with pytest.raises(UnfitModel, match="'odd'"):
        facts("llama-3.1-8b", "odd")


def test_of_a_mixture_a_token_reads_its_experts_alone(facts):
    mixtral = facts("mixtral-8x7b")
    assert (mixtral.experts, mixtral.active_experts) == (8, 2)
    assert mixtral.expert_bytes == 2 * 32 * 2 * 3 * 4096 * 14_336
    assert mixtral.read_bytes < mixtral.weight_bytes / 3


def test_vllm_rounds_weights_of_four_bytes_as_it_loads_them(config):
    wide = from_config("a", config("llama-2-7b", torch_dtype="float32"))
    assert wide.quantisation == "fp32"
    assert wide.loaded_bytes == wide.weight_bytes // 2
    assert from_config("a", config("llama-2-7b")).loaded_bytes == 13_476_831_232


def test_files_are_weighed_and_the_config_tells_the_rest(config):
    told = config("smollm2-135m")
    found = from_safetensors("a", told, [tensor("BF16", 134_515_008, 269_030_016)])
    assert found.origin == "safetensors headers"
    assert found.parameters == 134_515_008
    assert found.memories is not None
    # With a second table of words beside the tied one, as some files have it.
    more = from_safetensors("a", told, [tensor("BF16", 162_826_560, 325_653_120)])
    assert more.parameters == 162_826_560
    assert more.read_bytes > found.read_bytes


def test_packed_files_do_not_tell_how_many_weights_there_are(config):
    told = config("llama-3.1-8b", quantization_config={"quant_method": "awq"})
    found = from_safetensors("a", told, [tensor("I32", 10, 5_700_000_000)])
    assert found.parameters == 8_030_261_248
    assert found.weight_bytes == 5_700_000_000


def test_a_quantisation_that_nobody_knows_is_weighed_all_the_same(config):
    told = config("llama-3.1-8b", quantization_config={"quant_method": "quip"})
    found = from_safetensors("a", told, [tensor("U8", 10, 3_000_000_000)])
    assert found.weight_bytes == 3_000_000_000
    assert found.memories is not None


@pytest.mark.parametrize(
    ("told", "family", "context"),
    [
        ({"model_type": "zebra", "max_position_embeddings": 512}, "zebra", 512),
        ({}, "unknown", None),
        (None, "unknown", None),
    ],
)
def test_an_unknown_architecture_has_weights_and_nothing_else(told, family, context):
    tensors = [tensor("BF16", 100, 200), tensor("F32", 10, 40)]
    found = from_safetensors("a", told, tensors)
    assert (found.model_type, found.context_tokens) == (family, context)
    assert (found.parameters, found.weight_bytes, found.memories) == (110, 240, None)
    assert found.quantisation == "bf16"


def test_what_a_quantiser_left_whole_counts_for_its_own_packing_alone(config):
    told = {
        **config("llama-3.1-8b"),
        "quantization_config": {"quant_method": "fp8", "modules_to_not_convert": ["self_attn"]},
    }
    plain = {**told, "quantization_config": {"quant_method": "fp8"}}
    attention = 32 * (2 * 4096 * 4096 + 2 * 4096 * 1024)
    left, packed = from_config("a", told), from_config("a", plain)
    scales = 32 * (2 * 4096 + 2 * 1024) * 4
    assert left.weight_bytes - packed.weight_bytes == attention - scales
    assert left.read_bytes - packed.read_bytes == attention
    assert from_config("a", told, "awq") == from_config("a", plain, "awq")


def test_experts_that_a_quantiser_left_whole_are_read_so(config):
    told = {
        **config("mixtral-8x7b"),
        "quantization_config": {"quant_method": "fp8", "ignore": ["re:.*experts.*"]},
    }
    packed = {**told, "quantization_config": {"quant_method": "fp8"}}
    assert from_config("a", told).expert_bytes == 2 * from_config("a", packed).expert_bytes
