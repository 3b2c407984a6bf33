from __future__ import annotations

import json

import pytest

from byoi_agent.planning.calibration import Correction
from byoi_agent.planning.explain import numbers, size, steps
from byoi_agent.planning.facts import from_safetensors
from byoi_agent.planning.fit import Wish, plan
from byoi_agent.planning.speed import expect
from byoi_agent.planning.tensors import Tensor


def text(found):
    return "\n".join(f"{of}: {line}" for of, line in steps(found, expect(found)))


def test_the_arithmetic_is_told_line_by_line(facts, cards):
    found = plan(facts("llama-3.1-8b"), cards("RTX 4090", 24), Wish(context_tokens=8192))
    told = text(found)
    assert "weights: 8,030,261,248 x 2 bytes (bf16) = 14.96 GiB" in told
    assert "context: 32 layers x 8 KV heads x (128 + 128) x 2 bytes" in told
    assert "together 131,072 bytes for each token" in told
    assert "a request of 8,192 tokens takes 1.00 GiB" in told
    assert "it fits; one request alone could have" in told
    assert "speed: at most" in told


def test_copies_that_devices_keep_of_the_same_heads_are_told_apart(facts, cards):
    told = text(plan(facts("deepseek-v3"), cards("H200", 141, 8), Wish(context_tokens=8192)))
    assert "together 70,272 bytes for each token" in told
    assert "562,176 on all devices, as several keep the same heads" in told


@pytest.mark.parametrize(
    ("model", "line"),
    [
        ("gemma-3-4b", "29 layers x 4 KV heads x (256 + 256) x 2 bytes, the newest 1,024 tokens"),
        ("deepseek-v2-lite", "27 layers x 576 x 2 bytes, one vector for all heads"),
        ("falcon-mamba-7b", "64 layers keep a state of 155,648 numbers, however long"),
        ("mixtral-8x7b", "(2 of 8 experts)"),
    ],
)
def test_each_kind_of_model_in_its_own_words(facts, cards, model, line):
    found = plan(facts(model), cards("H200", 141), Wish(context_tokens=8192))
    assert line in text(found)


def test_several_devices_are_told_with_their_degrees(facts, cards):
    found = plan(facts("llama-3.1-70b"), cards("H100", 80, 2), Wish(context_tokens=8192))
    assert "devices: 2 x H100 (tensor parallel 2)" in text(found)
    assert "on each device" in text(found)


def test_what_does_not_fit_has_no_speed(facts, cards):
    told = text(plan(facts("llama-3.1-70b"), cards("RTX 4090", 24), Wish()))
    assert told.endswith("it does not fit")


def test_without_a_data_sheet_it_says_how_to_know(facts, processor):
    assert "speed: unknown: no data sheet of a processor" in text(
        plan(facts("smollm2-135m"), [processor], Wish())
    )


def test_what_was_learnt_is_told(facts, cards):
    card = cards("RTX 4090", 24)
    found = plan(facts("llama-3.1-8b"), card, Wish(), Correction(1.05, 4, 0.05, "load"))
    assert "the last 4 loads like it took 5.0% more than reckoned; corrected: x 1.05" in text(found)
    found = plan(facts("llama-3.1-8b"), card, Wish(), Correction(0.9, 1, -0.1, "load"))
    assert "the last load like it took 10.0% less than reckoned" in text(found)


def test_an_unknown_architecture_says_what_is_left_out(cards):
    unknown = from_safetensors("a", None, [Tensor("a", "BF16", (10,), 20)])
    assert "only weights count" in text(plan(unknown, cards("L4", 24), Wish()))


def test_without_devices_the_model_alone_is_told(facts):
    told = text(plan(facts("llama-3.1-8b"), [], Wish()))
    assert "devices" not in told
    assert "32 layers" in told


def test_numbers_are_plain_and_whole(facts, cards):
    found = plan(facts("llama-3.1-8b"), cards("RTX 4090", 24), Wish(context_tokens=8192))
    told = json.loads(json.dumps(numbers(found, expect(found))))
    assert told["parameters"] == 8_030_261_248
    assert told["weight_bytes"] == 16_060_522_496
    assert told["kv_bytes_per_token"] == 131_072
    assert told["fits"] is True
    assert told["engine_arguments"][:2] == ["--max-model-len", "8192"]
    assert told["expected"]["decode_tokens_per_second"] > 1
    assert told["reserve_bytes"] == sum(one["bytes_per_device"] for one in told["reserve"])
    assert told["memory_bytes"] == told["weight_bytes"] + told["kv_bytes"] + told["reserve_bytes"]
    assert numbers(found, None)["expected"] is None


@pytest.mark.parametrize(
    ("count", "told"),
    [(10, "10 bytes"), (3 * 2**20, "3.0 MiB"), (5 * 2**30, "5.00 GiB"), (2**41, "2,048.00 GiB")],
)
def test_bytes_for_people(count, told):
    assert size(count) == told
