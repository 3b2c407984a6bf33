from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byoi_agent.models.eviction import Kept, victims

OLD, MIDDLE, NEW = Kept("old", 10, 1.0), Kept("middle", 30, 2.0), Kept("new", 20, 3.0)


@pytest.mark.parametrize(
    ("budget", "needed", "gone"),
    [
        (100, 40, ()),
        (99, 40, ("old",)),
        (80, 30, ("old",)),
        (70, 40, ("middle",)),  # and the small old one, for which it made room, may stay
        (40, 40, ("old", "middle", "new")),
        (39, 40, None),
    ],
)
def test_the_longest_unused_go_and_no_more_than_must(budget, needed, gone):
    chosen = victims([NEW, OLD, MIDDLE], budget, needed)
    assert (None if chosen is None else set(chosen)) == (None if gone is None else set(gone))


def test_what_is_protected_stays_even_if_nothing_fits_then():
    held = Kept("held", 50, 0.0, is_protected=True)
    assert victims([held, OLD], 60, 10) == ("old",)
    assert victims([held, OLD], 60, 11) is None


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 5), st.booleans()), max_size=8),
    st.integers(0, 200),
    st.integers(0, 100),
)
def test_after_it_everything_fits_and_nobody_left_in_vain(rows, budget, needed):
    kept = [Kept(str(n), size, float(at), held) for n, (size, at, held) in enumerate(rows)]
    chosen = victims(kept, budget, needed)
    stays = sum(one.size_bytes for one in kept if one.is_protected)
    if chosen is None:
        assert stays + needed > budget
        return
    left = sum(one.size_bytes for one in kept if one.key not in chosen)
    assert left + needed <= budget
    for one in kept:
        if one.key in chosen:
            assert not one.is_protected
            assert left + one.size_bytes + needed > budget
