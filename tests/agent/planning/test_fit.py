from __future__ import annotations

from dataclasses import replace

import pytest

from byoi_agent.planning.calibration import Correction
from byoi_agent.planning.facts import from_safetensors
from byoi_agent.planning.fields import UnfitModel
from byoi_agent.planning.fit import Wish, memory_bytes, plan
from byoi_agent.planning.layouts import Layout
from byoi_agent.planning.machines import GIB
from byoi_agent.planning.tensors import Tensor


def test_a_model_that_fits_one_card_is_not_split(facts, cards):
    found = plan(facts("llama-3.1-8b"), cards("RTX 4090", 24, 4), Wish(context_tokens=8192))
    assert found.fits
    assert (len(found.devices), found.tensor_parallel) == (1, 1)
    assert found.kv_bytes_per_token == 131_072
    assert found.need.kv == 8192 * 131_072


def test_one_that_does_not_takes_as_few_cards_as_will_do(facts, cards):
    found = plan(facts("llama-3.1-70b"), cards("H100", 80, 8), Wish(context_tokens=8192))
    assert found.fits
    assert (len(found.devices), found.tensor_parallel) == (2, 2)
    assert found.kv_bytes_per_token == 327_680
    assert found.memory_bytes <= found.room_bytes


def test_a_token_is_told_as_the_model_has_it_and_with_the_copies_that_devices_keep(facts, cards):
    found = plan(facts("deepseek-v3"), cards("H200", 141, 8), Wish(context_tokens=8192))
    assert found.tensor_parallel == 8
    assert (found.kv_bytes_per_token, found.spread_bytes_per_token) == (70_272, 8 * 70_272)
    nowhere = plan(facts("deepseek-v3"), [], Wish())
    assert (nowhere.kv_bytes_per_token, nowhere.spread_bytes_per_token) == (70_272, None)


def test_without_a_wish_the_context_is_the_longest_that_fits(facts, cards):
    small = plan(facts("llama-3.1-8b"), cards("RTX 4090", 24), Wish())
    assert small.fits
    assert 2048 < small.context_tokens < 131_072
    assert small.context_tokens == small.largest_context_tokens
    assert small.concurrency == 1
    large = plan(facts("llama-3.1-8b"), cards("H200", 141), Wish())
    assert large.context_tokens == 131_072
    assert large.concurrency > 1


def test_concurrency_at_a_context_is_what_there_is_room_for(facts, cards):
    found = plan(facts("llama-3.1-8b"), cards("RTX 4090", 24), Wish(context_tokens=4096))
    more = plan(
        facts("llama-3.1-8b"),
        cards("RTX 4090", 24),
        Wish(context_tokens=4096, concurrency=found.concurrency + 1),
    )
    assert found.fits
    assert not more.fits
    assert found.concurrency > 5


def test_a_context_of_half_the_bytes_is_twice_as_long(facts, cards):
    wide = plan(facts("llama-3.1-8b"), cards("RTX 4090", 24), Wish())
    narrow = plan(facts("llama-3.1-8b"), cards("RTX 4090", 24), Wish(element_bytes=1))
    assert narrow.context_tokens == pytest.approx(2 * wide.context_tokens, rel=0.02)


def test_what_does_not_fit_is_planned_for_the_roomiest_layout(facts, cards):
    found = plan(facts("llama-3.1-405b"), cards("RTX 4090", 24, 2), Wish())
    assert not found.fits
    assert len(found.devices) == 2
    assert found.largest_context_tokens == 0
    assert found.memory_bytes > found.room_bytes


def test_a_context_longer_than_the_model_s_is_refused(facts, cards):
    with pytest.raises(UnfitModel, match="8192 tokens of context at most; --context 8192"):
        plan(facts("gemma-2-9b"), cards("H100", 80), Wish(context_tokens=10_000))


def test_without_any_device_nothing_fits(facts):
    found = plan(facts("llama-3.1-8b"), [], Wish())
    assert not found.fits
    assert found.reasons
    assert (found.devices, found.tensor_parallel, found.pipeline_parallel) == ((), 1, 1)
    assert found.reserve_bytes == 0


def test_what_earlier_loads_took_shrinks_the_room(facts, cards):
    wish = Wish(context_tokens=4096)
    told = Correction(1.1, 3, 0.1, "model")
    plain = plan(facts("llama-3.1-8b"), cards("RTX 4090", 24), wish)
    learnt = plan(facts("llama-3.1-8b"), cards("RTX 4090", 24), wish, told)
    assert learnt.concurrency < plain.concurrency
    fixed = replace(wish, concurrency=2)
    more = plan(facts("llama-3.1-8b"), cards("RTX 4090", 24), fixed, told)
    less = plan(facts("llama-3.1-8b"), cards("RTX 4090", 24), fixed)
    assert more.memory_bytes == round(less.memory_bytes * 1.1)


def test_weights_alone_are_planned_where_nobody_knows_the_architecture(cards):
    tensors = [Tensor("a", "BF16", (10**9,), 2 * 10**9)]
    unknown = from_safetensors("a", {"model_type": "zebra"}, tensors)
    found = plan(unknown, cards("L4", 24), Wish())
    assert found.fits
    assert (found.kv_bytes_per_token, found.growing_bytes_per_token) == (None, None)
    assert found.kv_bytes == 0


def test_the_memory_of_a_load_is_its_weights_context_and_overheads(facts, processor):
    small = facts("smollm2-135m")
    layout = Layout((processor,))
    size = memory_bytes(small, layout, Wish("llamacpp"), 2048, 4)
    assert size > small.weight_bytes + 4 * 2048 * 23_040
    wide = replace(small, quantisation="fp32", weight_bytes=2 * small.weight_bytes)
    assert memory_bytes(wide, layout, Wish("vllm"), 2048, 4) == memory_bytes(
        small, layout, Wish("vllm"), 2048, 4
    )
    assert memory_bytes(wide, layout, Wish("llamacpp"), 2048, 4) > size


def test_a_quantised_giant_of_one_mixture_is_not_taken_for_dense(facts, cards):
    """What another planner told of DeepSeek-V2-Lite's like: 139 GB where 32 were used.

    Latent attention keeps 576 numbers for a token and layer; reckoned as 16 heads of keys and
    values it would be seven times that.
    """
    lite = facts("deepseek-v2-lite")
    found = plan(lite, cards("H100", 80), Wish(context_tokens=32_768, concurrency=1))
    assert found.memory_bytes < 36e9
    assert found.need.kv == 32_768 * 27 * 576 * 2


def test_a_sliding_window_is_not_reckoned_as_the_whole_context(facts, cards):
    """Where another runner told 15 GB it took 4: Gemma 3 4B, packed, at its whole context."""
    packed = facts("gemma-3-4b", "q4_k_m")
    wish = Wish("llamacpp", context_tokens=131_072, concurrency=1)
    found = plan(packed, cards("RTX 4090", 24), wish)
    without_windows = 131_072 * 139_264
    assert without_windows > 15 * GIB
    assert found.need.kv < 3 * GIB
    assert packed.weight_bytes + found.need.kv < 5.5 * GIB


def test_llama_cpp_runs_as_many_requests_as_its_steps_divide_by(facts, processor):
    found = plan(facts("smollm2-135m"), [processor], Wish("llamacpp", context_tokens=8192))
    assert found.concurrency == 64
