from __future__ import annotations

from byoi_agent.planning.arguments import engine_arguments, settings
from byoi_agent.planning.fit import Wish, plan

SIZES = ["--max-model-len", "4096", "--max-num-seqs", "2"]


def wish(engine="vllm", **more):
    return Wish(engine, context_tokens=4096, concurrency=2, **more)


def test_one_card_needs_the_sizes_alone(facts, cards):
    found = plan(facts("llama-3.1-8b"), cards("RTX 4090", 24), wish())
    assert engine_arguments(found) == SIZES
    assert settings(found) == {"engine": "vllm", "context_tokens": 4096, "slots": 2}


def test_several_cards_are_told_how_they_share(facts, cards):
    found = plan(facts("llama-3.1-70b"), cards("H100", 80, 2), wish())
    assert engine_arguments(found) == [*SIZES, "--tensor-parallel-size", "2"]
    assert settings(found)["tensor_parallel"] == 2
    in_turn = plan(facts("falcon-7b"), cards("strange", 11, 2), Wish(context_tokens=2048))
    assert "--pipeline-parallel-size" in engine_arguments(in_turn)


def test_vllm_is_told_to_take_less_where_others_hold_memory(facts, cards):
    busy = cards("H100", 80, free_bytes=60 * 2**30)
    found = plan(facts("llama-3.1-8b"), busy, wish())
    assert engine_arguments(found) == [*SIZES, "--gpu-memory-utilization", "0.75"]
    assert settings(found)["gpu_memory_share"] == 0.75
    asked = plan(facts("llama-3.1-8b"), cards("H100", 80), wish(gpu_share=0.5))
    assert engine_arguments(asked) == [*SIZES, "--gpu-memory-utilization", "0.5"]


def test_a_narrow_context_is_asked_for_by_each_engine_s_own_name(facts, cards, processor):
    found = plan(facts("llama-3.1-8b"), cards("H100", 80), wish(element_bytes=1))
    assert engine_arguments(found) == [*SIZES, "--kv-cache-dtype", "fp8"]
    small = plan(facts("smollm2-135m"), [processor], wish("llamacpp", element_bytes=1))
    assert engine_arguments(small) == [
        "--ctx-size", "8192", "--parallel", "2", "--cache-type-k", "q8_0", "--cache-type-v", "q8_0",
    ]  # fmt: skip
    assert settings(small) == {"engine": "llamacpp", "context_tokens": 4096, "slots": 2}


def test_llama_cpp_puts_all_layers_on_cards(facts, cards):
    found = plan(facts("smollm2-135m"), cards("L4", 24), wish("llamacpp"))
    assert engine_arguments(found)[-2:] == ["--n-gpu-layers", "31"]


def test_a_processor_compiles_nothing(facts, processor):
    found = plan(facts("smollm2-135m"), [processor], wish())
    assert engine_arguments(found) == [*SIZES, "--enforce-eager"]
    assert settings(found) == {"engine": "vllm", "context_tokens": 4096, "slots": 2}
    assert engine_arguments(plan(facts("smollm2-135m"), [], wish()))[-1] == "--enforce-eager"
