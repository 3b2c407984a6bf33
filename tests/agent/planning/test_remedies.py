from __future__ import annotations

from byoi_agent.planning.fit import Wish, plan
from byoi_agent.planning.remedies import reasons


def told(facts, devices, wish, packed=()):
    return "\n".join(reasons(plan(facts, devices, wish), devices, packed))


def test_what_fits_needs_no_reason(facts, cards):
    assert told(facts("llama-3.1-8b"), cards("RTX 4090", 24), Wish()) == ""


def test_weights_that_are_too_large_say_what_would_do(facts, cards):
    packed = [facts("llama-3.1-70b", "fp8"), facts("llama-3.1-70b", "awq")]
    found = told(facts("llama-3.1-70b"), cards("RTX 4090", 24, 2), Wish(), packed)
    assert "the weights alone take 65.71 GiB a device" in found
    assert "the roomiest layout here has 22.08 GiB" in found
    assert "--quantisation awq" in found
    assert "fp8" not in found
    assert "more devices would: 8 x RTX 4090" in found


def test_a_context_that_is_too_long_says_which_would_do(facts, cards):
    wish = Wish(context_tokens=131_072)
    found = told(facts("llama-3.1-8b"), cards("RTX 4090", 24), wish)
    assert "with 131,072 tokens for 1 at once" in found
    assert "a shorter context would: --context " in found


def test_too_many_requests_say_how_many_would_do(facts, cards):
    wish = Wish(context_tokens=8192, concurrency=100)
    found = told(facts("llama-3.1-8b"), cards("RTX 4090", 24), wish)
    assert "fewer requests at once would: --concurrency 5" in found
    assert "--context" not in found
    both = Wish(context_tokens=8192, concurrency=8)
    assert "a shorter context would: --context " in told(
        facts("llama-3.1-8b"), cards("RTX 4090", 24), both
    )


def test_nothing_helps_what_is_beyond_all_measure(facts, cards):
    wish = Wish(context_tokens=131_072, concurrency=200)
    found = told(facts("kimi-k2"), cards("T4", 16), wish, [facts("kimi-k2", "awq")])
    assert "not even 32 x T4 would" in found
    assert "quantised" not in found
    assert "--context" not in found


def test_a_processor_is_not_multiplied(facts, processor):
    found = told(facts("llama-3.1-70b"), [processor], Wish())
    assert "a processor has" in found
    assert "devices" not in found


def test_a_machine_without_devices_is_told_how_to_ask(facts):
    found = told(facts("llama-3.1-8b"), [], Wish())
    assert "no device whose memory is known" in found
    assert "--gpu" in found
