from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byoi_agent.bench.scales import Linear, Logarithmic, apart

values = st.lists(st.floats(1e-6, 1e12), min_size=1)


@given(values)
def test_a_linear_axis_begins_at_zero_and_holds_every_value(found):
    axis = Linear.over(found)
    assert axis.ticks[0] == 0
    assert 2 <= len(axis.ticks) <= 8
    assert all(0 <= axis.share(value) <= 1 + 1e-6 for value in found)


@given(values)
def test_a_logarithmic_axis_holds_every_value_in_order(found):
    axis = Logarithmic.over(found)
    assert len(axis.ticks) >= 2
    shares = [axis.share(value) for value in sorted(found)]
    assert shares == sorted(shares)
    assert shares[0] >= -1e-6
    assert shares[-1] <= 1 + 1e-6


def test_the_numbers_at_an_axis_are_round():
    assert Linear.over([580.0]).ticks == (0, 200, 400, 600)
    assert Linear.over([]).ticks[-1] == pytest.approx(1.0)
    assert Logarithmic.over([21.0, 4800.0]).ticks == (20, 50, 100, 200, 500, 1000, 2000, 5000)
    assert Logarithmic.over([1.0, 1e6]).ticks == tuple(10.0**power for power in range(7))
    assert Logarithmic.over([]).ticks == (1, 2)
    assert Logarithmic.over([5.0, 9.0]).share(0.0) == 0.0


def test_labels_that_would_overlap_are_left_out_but_never_the_ends():
    places = {1: 0.0, 2: 30.0, 3: 40.0, 4: 62.0, 5: 80.0}
    assert apart(places, 20.0) == {1: 0.0, 2: 30.0, 5: 80.0}
    assert apart({1: 0.0, 2: 5.0}, 20.0) == {2: 5.0}
    assert apart({}, 20.0) == {}
