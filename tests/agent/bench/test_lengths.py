from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byoi_agent.bench.lengths import MOST_PREFILL_TOKENS, Ruler, fitting, prefill_length


def test_what_fits_stays_as_it_was_asked_for():
    assert fitting(256, 128, 2048) == (256, 128)
    assert fitting(256, 128, None) == (256, 128)


@given(st.integers(1, 10**7), st.integers(1, 10**6), st.integers(4, 10**7))
def test_whatever_is_asked_for_fits_the_context_and_is_at_least_a_token_each(prompt, output, room):
    shorter = fitting(prompt, output, room)
    assert min(shorter) >= 1
    assert sum(shorter) <= max(room - room // 16, 2)
    assert shorter[0] <= prompt
    assert shorter[1] <= output


def test_both_shrink_alike():
    prompt, output = fitting(2000, 1000, 1000)
    assert prompt == pytest.approx(2 * output, abs=2)


@pytest.mark.parametrize(
    ("rate", "context", "length"),
    [
        (None, None, 256),
        (100.0, None, 256),
        (3000.0, None, 3000),
        (1e9, None, MOST_PREFILL_TOKENS),
        (3000.0, 2048, 1918),
    ],
)
def test_a_long_prompt_takes_about_a_second_and_fits(rate, context, length):
    assert prefill_length(256, rate, context) == pytest.approx(length, abs=3)


def test_words_are_counted_as_the_engine_counts_them():
    ruler = Ruler.of([(100, 230), (16, 62)])
    assert (ruler.tokens_per_word, ruler.overhead_tokens) == (2.0, 30.0)
    assert ruler.words(430) == 200
    assert ruler.words(1) == 1


@pytest.mark.parametrize("counted", [[], [(16, 20)], [(16, 20), (16, 30)], [(16, 30), (100, 30)]])
def test_counts_that_tell_nothing_leave_the_usual(counted):
    assert Ruler.of(counted) == Ruler()
