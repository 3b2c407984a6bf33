from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byoi_console.routing.hand_backs import HALF_LIFE_SECONDS, SAME_SECONDS, HandBacks
from byoi_wire.ids import NodeId

NODE, OTHER = NodeId("node_1"), NodeId("node_2")


def told_at(*moments):
    found = HandBacks()
    for moment in moments:
        found.add(NODE, moment)
    return found


def test_a_node_that_never_handed_anything_back_counts_as_it_is():
    assert HandBacks().share(NODE, 0.0) == 0.0
    assert told_at(0.0, 10.0).share(OTHER, 10.0) == 0.0


def test_one_return_of_the_owner_is_held_against_nobody():
    assert told_at(0.0).share(NODE, 0.0) == 0.0


def test_all_that_one_return_hands_back_is_one_return():
    assert told_at(0.0, 0.0, 1.0, 4.9).share(NODE, 4.9) == 0.0
    assert told_at(0.0, SAME_SECONDS).share(NODE, SAME_SECONDS) > 0.0


def test_each_further_return_counts_as_a_quarter_and_five_make_it_full():
    shares = [told_at(*range(0, 6 * n, 6)).share(NODE, 6.0 * (n - 1)) for n in range(1, 9)]
    assert shares[:4] == pytest.approx([0.0, 0.25, 0.5, 0.75], abs=0.02)
    assert shares[5:] == [1.0] * 3


def test_it_is_forgotten_with_time():
    found = told_at(0.0, 6.0)
    assert found.share(NODE, 6.0) == pytest.approx(0.25, abs=0.01)
    assert found.share(NODE, HALF_LIFE_SECONDS / 2) < 0.15
    assert found.share(NODE, HALF_LIFE_SECONDS + 6.0) == 0.0


def test_an_owner_who_returns_once_in_an_hour_is_hardly_noticed():
    assert told_at(*range(0, 36_000, 3_600)).share(NODE, 32_400.0) < 0.03


def test_a_node_that_has_left_for_good_leaves_nothing():
    found = told_at(0.0, 10.0)
    found.forget(NODE)
    found.forget(NODE)
    assert found.share(NODE, 10.0) == 0.0
    assert not found._nodes


moments = st.lists(st.floats(0, 1e6), max_size=30).map(sorted)


@settings(max_examples=50)
@given(moments=moments, later=st.floats(0, 1e6), more=st.floats(0, 1e6))
def test_it_is_a_share_and_time_alone_only_lessens_it(moments, later, more):
    found = told_at(*moments)
    begin = moments[-1] if moments else 0.0
    soon = found.share(NODE, begin + later)
    assert 0.0 <= found.share(NODE, begin + later + more) <= soon <= 1.0


@settings(max_examples=50)
@given(moments=moments, gap=st.floats(0, 1e6))
def test_one_more_is_never_held_for_less(moments, gap):
    now = (moments[-1] if moments else 0.0) + gap
    assert told_at(*moments, now).share(NODE, now) >= told_at(*moments).share(NODE, now)
