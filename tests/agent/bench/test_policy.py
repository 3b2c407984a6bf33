from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byoi_agent.bench.policy import (
    KNEE_SHARE,
    MOST_CONCURRENCY,
    MOST_EXTENSIONS,
    MOST_REFINEMENTS,
    Plan,
    is_open,
    knee,
    next_concurrency,
)


def searched(plan, rate):
    """All that is measured of an engine with these tokens a second by concurrency."""
    measured = {}
    while (concurrency := next_concurrency(plan, measured)) is not None:
        assert concurrency not in measured, "nothing is measured twice"
        assert len(measured) <= len(plan.first) + MOST_EXTENSIONS + MOST_REFINEMENTS
        measured[concurrency] = rate(concurrency)
    return measured


def test_the_knee_is_the_smallest_that_is_as_good_as_any():
    assert knee({1: 50.0, 8: 185.0, 32: 200.0}) == 8
    assert knee({1: 50.0, 8: 150.0, 32: 200.0}) == 32
    assert knee({1: 50.0, 8: None}) == 1
    assert knee({1: None}) is None
    assert knee({}) is None


def test_a_knee_below_levels_that_all_failed_may_lie_higher():
    assert is_open({1: 10.0, 8: None, 32: None})
    assert is_open({1: None})
    assert not is_open({1: 10.0, 8: 20.0, 32: None, 4: 19.0})
    assert not is_open({1: 10.0})
    assert is_open({1: 10.0, 8: 20.0, 32: None}, slots=16)
    assert not is_open({1: 10.0, 8: 20.0, 32: None}, slots=4)


def test_what_was_asked_comes_first_and_one_alone_in_any_case():
    plan = Plan((32, 8), finds_knee=False)
    assert list(searched(plan, lambda c: 100.0 * c)) == [1, 8, 32]


def test_while_more_at_once_pay_well_the_search_goes_beyond_what_was_asked():
    assert max(searched(Plan((1, 8, 32)), lambda c: 10.0 * c)) == 256
    assert max(searched(Plan((1, 8, 32)), lambda c: 10.0 * min(c, 64))) == 128
    assert max(searched(Plan((1, 4)), lambda c: 10.0 * c)) == 4 * 2**MOST_EXTENSIONS
    assert max(searched(Plan((1, 300)), lambda c: 10.0 * c)) == 300


def test_beyond_the_engines_slots_requests_only_wait():
    assert max(searched(Plan((1, 8), slots=8), lambda c: 10.0 * c)) == 8
    assert max(searched(Plan((1, 8), slots=10), lambda c: 10.0 * c)) == 16


def test_the_engines_slots_are_looked_at_first_between_two_levels():
    assert list(searched(Plan((1, 8, 32), slots=4), lambda c: 10.0 * min(c, 4)))[3] == 4


def test_the_knee_is_narrowed_down():
    measured = searched(Plan((1, 8, 32)), lambda c: 10.0 * min(c, 18))
    assert list(measured) == [1, 8, 32, 64, 16, 23, 19]
    assert knee(measured) == 19, "of 18 at once nine tenths are reached at 17"


def test_a_level_that_failed_is_neither_repeated_nor_passed():
    measured = searched(Plan((1, 8, 32)), lambda c: None if c == 32 else 10.0 * c)
    assert max(measured) == 32
    assert knee(measured) == max(c for c in measured if measured[c])
    assert searched(Plan((1, 8)), lambda _: None) == {1: None, 8: None}


def test_a_failure_between_two_levels_that_worked_ends_the_search():
    measured = searched(Plan((1, 8, 32)), lambda c: 10.0 * c if c in {1, 8, 32} else None)
    assert list(measured) == [1, 8, 32, 64, 16]


@given(
    asked=st.lists(st.integers(1, 64), min_size=1, max_size=4).map(tuple),
    full=st.integers(1, 400),
    alone=st.floats(0.1, 1000),
    slots=st.none() | st.integers(1, 512),
)
def test_of_an_engine_that_fills_up_the_search_ends_near_its_knee(asked, full, alone, slots):
    measured = searched(Plan(asked, slots), lambda c: alone * min(c, full))
    found = knee(measured)
    assert measured[found] >= KNEE_SHARE * max(measured.values())
    assert all(measured[c] < KNEE_SHARE * max(measured.values()) for c in measured if c < found)
    assert max(measured) <= max(MOST_CONCURRENCY, *asked)


@pytest.mark.parametrize("full", range(1, 33))
def test_with_the_usual_levels_the_knee_is_found_within_a_quarter(full):
    measured = searched(Plan((1, 8, 32)), lambda c: 10.0 * min(c, full))
    truth = next(c for c in range(1, 33) if min(c, full) >= KNEE_SHARE * full)
    assert truth <= knee(measured) <= truth * 1.35 + 1


@given(st.dictionaries(st.integers(1, 64), st.none() | st.floats(0, 1e6), max_size=6))
def test_any_figures_end_the_search(known):
    measured = searched(Plan((1, 8, 32)), lambda c: known.get(c))
    assert set(measured) >= {1, 8, 32}
