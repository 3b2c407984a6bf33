from __future__ import annotations

import pytest

from byoi_agent.planning.cache import Keeping
from byoi_agent.planning.machines import GIB
from byoi_agent.planning.overheads import keeping, overheads, step_tokens


@pytest.mark.parametrize(
    ("engine", "is_cpu", "gib", "context", "tokens"),
    [
        ("llamacpp", True, 24, 512, 512),
        ("llamacpp", False, 24, 4096, 1024),
        ("vllm", True, 500, 4096, 2048),
        ("vllm", False, 24, 4096, 2048),
        ("vllm", False, 80, 4096, 8192),
        ("vllm", False, 192, 4096, 16_384),
    ],
)
def test_how_many_tokens_an_engine_computes_at_once(engine, is_cpu, gib, context, tokens):
    found = step_tokens(engine, is_cpu=is_cpu, device_bytes=gib * GIB, context_tokens=context)
    assert found == tokens


def test_vllm_hands_out_small_blocks_and_llama_cpp_whole_slots():
    assert keeping("vllm", is_cpu=True) == Keeping(2, 2, 128, 2048, 1)
    assert keeping("vllm", is_cpu=False, tensor_parallel=4).block_tokens == 16
    assert keeping("llamacpp", is_cpu=False, tensor_parallel=4) == Keeping(2, 4, 256, 2048, 1)


def sizes(facts, engine, **more):
    base = {"is_cpu": False, "step": 1024, "concurrency": 4, **more}
    return {one.what: one.size_bytes for one in overheads(facts, engine, **base)}


def test_each_engine_has_its_own_part(facts):
    llama = facts("llama-3.1-8b")
    on_gpu = sizes(llama, "vllm")
    assert set(on_gpu) == {
        "CUDA and its libraries", "CUDA graphs", "a step of 1024 tokens", "scores of all words",
    }  # fmt: skip
    assert on_gpu["scores of all words"] == 4 * 128_256 * 8
    assert set(sizes(llama, "vllm", is_cpu=True)) == {
        "the engine's processes", "a step of 1024 tokens", "scores of all words",
    }  # fmt: skip
    assert (
        sizes(llama, "llamacpp")["the engine itself"]
        > sizes(llama, "llamacpp", is_cpu=True)["the engine itself"]
    )


def test_devices_that_work_together_need_a_library_more_and_share_the_step(facts):
    llama = facts("llama-3.1-8b")
    alone, both = sizes(llama, "vllm"), sizes(llama, "vllm", devices=2, tensor_parallel=2)
    assert both["CUDA and its libraries"] > alone["CUDA and its libraries"]
    assert both["a step of 1024 tokens"] < alone["a step of 1024 tokens"]


def test_llama_cpp_keeps_the_scores_of_a_whole_step_twice(facts):
    """Once where they are computed, and once where they are handed out."""
    llama = facts("llama-3.1-8b")
    found = sizes(llama, "llamacpp", is_cpu=True)
    once = 1024 * 128_256 * 4
    assert found["scores of that step, copied out"] == once
    assert found["a step of 1024 tokens"] > once
