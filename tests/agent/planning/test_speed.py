from __future__ import annotations

import pytest

from byoi_agent.planning.facts import from_safetensors
from byoi_agent.planning.fit import Wish, plan
from byoi_agent.planning.speed import COMPUTE_EFFICIENCY, MEMORY_EFFICIENCY, expect, weights_read
from byoi_agent.planning.tensors import Tensor


def test_one_token_reads_all_weights_and_half_the_context(facts, cards):
    llama = facts("llama-3.1-8b")
    found = plan(llama, cards("RTX 4090", 24), Wish(context_tokens=4096, concurrency=1))
    speed = expect(found)
    bytes_read = llama.read_bytes + 2048 * 131_072 + 131_072
    assert speed.bytes_per_step == bytes_read
    assert speed.decode == pytest.approx(1008e9 * MEMORY_EFFICIENCY / bytes_read)
    assert speed.decode_all == speed.decode
    assert speed.prefill == pytest.approx(
        165e12 * COMPUTE_EFFICIENCY / (2 * llama.computed_parameters)
    )


def test_more_requests_share_the_reading_of_the_weights(facts, cards):
    wish = Wish(context_tokens=2048, concurrency=16)
    speed = expect(plan(facts("llama-3.1-8b"), cards("RTX 4090", 24), wish))
    assert 8 * speed.decode < speed.decode_all < 16 * speed.decode


def test_so_many_requests_are_bound_by_arithmetic(facts, cards):
    wish = Wish(context_tokens=128, concurrency=250)
    found = plan(facts("llama-3.1-8b"), cards("H20", 80), wish)
    flops = 148e12 * COMPUTE_EFFICIENCY
    bound = flops / (2 * facts("llama-3.1-8b").computed_parameters)
    assert expect(found).decode_all == pytest.approx(bound)


def test_devices_that_share_layers_are_faster_and_those_in_turn_are_not(facts, cards):
    llama = facts("llama-3.1-70b", "awq")
    wish = Wish(context_tokens=2048, concurrency=1)
    together = expect(plan(llama, cards("RTX 4090", 24, 2), wish))
    in_turn = expect(plan(llama, cards("RTX 4090", 24, 2), Wish("llamacpp", 2048, 1)))
    assert together.decode == pytest.approx(2 * 0.85 * in_turn.decode, rel=0.01)


def test_requests_reach_more_and_more_of_the_experts(facts):
    mixtral = facts("mixtral-8x7b")
    rest = mixtral.read_bytes - mixtral.expert_bytes
    assert weights_read(mixtral, 1) == pytest.approx(mixtral.read_bytes)
    assert weights_read(mixtral, 2) == pytest.approx(rest + mixtral.expert_bytes * 1.75)
    assert weights_read(mixtral, 10**4) == pytest.approx(rest + mixtral.expert_bytes * 4)
    assert weights_read(facts("llama-3.1-8b"), 99) == facts("llama-3.1-8b").read_bytes


def test_without_a_data_sheet_nothing_is_told(facts, cards, processor):
    llama = facts("llama-3.1-8b")
    assert expect(plan(llama, [processor], Wish())) is None
    assert expect(plan(llama, [], Wish())) is None
    mixed = cards("RTX 3090", 8) + cards("strange card", 48)
    found = plan(facts("phi-4"), mixed, Wish("llamacpp", 2048, 1))
    assert expect(found) is None
    unknown = from_safetensors("a", None, [Tensor("a", "BF16", (10,), 20)])
    assert expect(plan(unknown, cards("L4", 24), Wish())) is None
