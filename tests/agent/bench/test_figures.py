from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byoi_agent.bench.figures import Answer, level, middle, percentile, prefill


def answer(began=0.0, first=0.5, tokens=10, per_second=10.0, **facts):
    """So many tokens, the first one after `first` seconds."""
    pieces = tuple(began + first + number / per_second for number in range(tokens))
    defaults = {"prompt_tokens": 100, "completion_tokens": tokens}
    return Answer(began, pieces[-1] if pieces else began + first, pieces, **(defaults | facts))


def test_a_request_alone_tells_first_token_and_decoding_apart():
    alone = answer(first=0.5, tokens=11, per_second=10.0)
    assert alone.first_token_seconds == 0.5
    assert alone.decode_tokens_per_second == pytest.approx(10.0)
    assert alone.prefill_tokens_per_second == 200.0


def test_tokens_that_come_joined_are_counted_as_the_engine_counts_them():
    joined = answer(tokens=5, per_second=2.0, completion_tokens=20)
    assert joined.tokens == 20
    assert joined.decode_tokens_per_second == pytest.approx(8.0)


def test_without_usage_a_piece_is_a_token():
    assert answer(tokens=7, completion_tokens=None).tokens == 7


def test_what_was_cached_is_not_prefill():
    assert answer(first=0.5, cached_tokens=60).prefill_tokens_per_second == 80.0


def test_what_cannot_be_told_of_an_answer_is_none():
    silent = Answer(0.0, 1.0)
    assert silent.first_token_seconds is None
    assert silent.decode_tokens_per_second is None
    assert silent.prefill_tokens_per_second is None
    assert answer(tokens=1).decode_tokens_per_second is None
    assert answer(prompt_tokens=None).prefill_tokens_per_second is None


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.01, 1.0))
def test_a_percentile_is_a_value_that_so_large_a_share_does_not_exceed(values, share):
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-6


def test_percentiles_of_nothing_are_none_and_few_have_their_largest_as_the_95th():
    assert percentile([], 0.5) is None
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile([3.0, 1.0, 2.0], 0.95) == 3.0
    assert middle([None, 4.0, 2.0]) == 3.0
    assert middle([None]) is None


def test_a_levels_figures():
    answers = [answer(began=float(at), first=0.1 * (at + 1)) for at in range(4)]
    told = level(1, answers, (0.0, 5.0), joules=80.0)
    assert (told.answers, told.problem) == (4, None)
    assert told.first_token_ms_p50 == pytest.approx(200.0)
    assert told.first_token_ms_p95 == pytest.approx(400.0)
    assert told.request_tokens_per_second == pytest.approx(10.0)
    assert told.tokens_per_second == pytest.approx(8.0)
    assert told.joules_per_token == pytest.approx(2.0)
    assert (told.prompt_tokens, told.completion_tokens, told.cached_share) == (100, 10, 0.0)


def test_tokens_count_where_they_came_whoever_was_cut():
    whole = [answer(tokens=10, per_second=10.0, first=0.1, completion_tokens=20)] * 3
    cut = Answer(4.0, 9.0, (4.5, 4.6, 6.0), failure="no answer in time")
    earlier = answer(began=-1.0, first=0.5, tokens=10, per_second=10.0)
    told = level(1, whole, (0.0, 5.0), cut=[cut], earlier=[earlier])
    # Three whole answers of 20; of the cut one two pieces of two tokens each; four and a bit
    # of the earlier one's ten came before the window.
    within = sum(at > 0 for at in earlier.pieces)
    assert told.tokens_per_second == pytest.approx((60 + 4 + within) / 5)


def test_energy_is_none_where_it_was_not_measured_never_zero():
    told = level(1, [answer()] * 3, (0.0, 5.0))
    assert told.joules is None
    assert told.joules_per_token is None


@pytest.mark.parametrize(
    ("answers", "window", "problem"),
    [
        ([answer()] * 2, (0.0, 5.0), "too few answers came: 2"),
        ([answer()] * 2 + [answer(failure="HTTP 500")], (0.0, 5.0), "too few .*: 2, 1 failed"),
        ([answer()] * 3, (5.0, 5.0), "too few"),
        ([answer()] * 3 + [answer(failure="x")] * 4, (0.0, 5.0), "most requests failed: 4 of 7"),
        ([answer(tokens=0)] * 3, (0.0, 5.0), "no text"),
    ],
)
def test_what_is_too_little_is_refused_and_no_figure_is_told(answers, window, problem):
    told = level(2, answers, window, joules=5.0)
    assert told.tokens_per_second is None
    assert told.first_token_ms_p50 is None
    assert told.joules_per_token is None
    assert re.search(problem, told.problem)


def test_failures_are_counted_by_what_they_say():
    told = level(1, [answer()] * 4 + [answer(failure="a")] * 2 + [answer(failure="b")], (0.0, 5.0))
    assert told.failures == {"a": 2, "b": 1}
    assert told.answers == 4


def test_without_prompt_counts_a_share_of_the_cache_is_unknown():
    told = level(1, [answer(prompt_tokens=None)] * 3, (0.0, 5.0))
    assert told.cached_share is None
    assert told.prompt_tokens is None


def test_long_prompts_are_told_by_their_middle():
    told = prefill([answer(first=seconds) for seconds in (1.0, 2.0, 4.0)])
    assert (told.answers, told.tokens_per_second, told.problem) == (3, 50.0, None)


def test_too_few_long_prompts_or_uncounted_ones_tell_nothing():
    assert "too few" in prefill([answer(), answer(), answer(failure="x")]).problem
    uncounted = prefill([answer(prompt_tokens=None)] * 3)
    assert uncounted.tokens_per_second is None
    assert "does not tell" in uncounted.problem
