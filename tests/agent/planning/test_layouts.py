from __future__ import annotations

import pytest

from byoi_agent.planning.layouts import layouts


def told(facts, devices, engine="vllm"):
    return [
        (len(one.devices), one.tensor_parallel, one.pipeline_parallel)
        for one in layouts(facts, devices, engine)
    ]


def test_few_devices_come_before_many_and_pipelines_last(facts, cards):
    """A node starts vLLM without pipelines only."""
    found = told(facts("llama-3.1-8b"), cards("RTX 4090", 24, 4))
    assert found == [(1, 1, 1), (2, 2, 1), (4, 4, 1), (2, 1, 2), (4, 2, 2), (4, 1, 4)]


def test_the_fast_card_comes_before_the_large_one(facts, cards):
    mixed = cards("RTX 3060", 12) + cards("RTX 4090", 24) + cards("strange card", 48)
    names = [one.devices[0].name for one in layouts(facts("llama-3.1-8b"), mixed, "vllm")]
    assert names == ["RTX 4090", "RTX 3060", "strange card"]


def test_llama_cpp_divides_by_layers_over_whatever_there_is(facts, cards):
    mixed = cards("RTX 3060", 12) + cards("RTX 4090", 24)
    found = layouts(facts("llama-3.1-8b"), mixed, "llamacpp")
    assert [[device.name for device in one.devices] for one in found] == [
        ["RTX 4090"],
        ["RTX 3060"],
        ["RTX 4090", "RTX 3060"],
    ]
    assert found[-1].smallest_bytes == 12 * 2**30


@pytest.mark.parametrize(
    ("model", "count", "degrees"),
    [
        # 28 heads and 28 layers divide by 4 and not by 8.
        ("qwen2.5-7b", 8, [(4, 2), (2, 4)]),
        ("qwen2.5-7b", 4, [(4, 1), (2, 2), (1, 4)]),
        # 71 heads: only its layers divide.
        ("falcon-7b", 2, [(1, 2)]),
        # 40 heads over 10 KV heads: five of each to a device, but not four.
        ("phi-4", 5, [(5, 1), (1, 5)]),
        ("falcon-mamba-7b", 2, [(1, 2)]),
    ],
)
def test_degrees_divide_heads_and_layers(facts, cards, model, count, degrees):
    found = layouts(facts(model), cards("H100", 80, count), "vllm")
    degrees_found = [
        (one.tensor_parallel, one.pipeline_parallel) for one in found if len(one.devices) == count
    ]
    assert degrees_found == degrees


def test_the_processor_serves_where_nothing_else_is(facts, cards, processor):
    [only] = layouts(facts("llama-3.1-8b"), [processor], "vllm")
    assert only.is_cpu
    both = layouts(facts("llama-3.1-8b"), [processor, *cards("L4", 24)], "vllm")
    assert [one.is_cpu for one in both] == [False]
    assert layouts(facts("llama-3.1-8b"), [], "vllm") == []
