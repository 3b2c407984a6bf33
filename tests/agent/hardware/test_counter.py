from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byoi_agent.hardware.counter import EnergyCounter


def test_power_is_told_from_the_second_look_on():
    counter = EnergyCounter()
    counter.add(100.0, 10.0)
    assert (counter.joules, counter.watts) == (100.0, None)
    counter.add(160.0, 12.0)
    assert (counter.joules, counter.watts) == (160.0, 30.0)


def test_a_counter_that_is_full_goes_on():
    counter = EnergyCounter()
    counter.add(990.0, 0.0, full_at=1000.0)
    counter.add(15.0, 1.0, full_at=1000.0)
    assert (counter.joules, counter.watts) == (1015.0, 25.0)


def test_a_counter_that_was_started_anew_loses_nothing_that_was_seen():
    counter = EnergyCounter()
    counter.add(990.0, 0.0)
    counter.add(15.0, 1.0)
    assert counter.joules == 1005.0


def test_what_cannot_be_read_is_none_and_no_zero():
    counter = EnergyCounter()
    counter.add(None, 0.0)
    assert (counter.joules, counter.watts) == (None, None)
    counter.add(50.0, 1.0)
    counter.add(None, 2.0)
    assert (counter.joules, counter.watts) == (None, None)


def test_two_looks_at_one_moment_tell_no_power():
    counter = EnergyCounter()
    counter.add(50.0, 1.0)
    counter.add(51.0, 1.0)
    assert (counter.joules, counter.watts) == (51.0, None)


@given(st.lists(st.integers(0, 999), min_size=2), st.data())
def test_energy_only_grows(readings, data):
    counter = EnergyCounter()
    before = 0.0
    for now, reading in enumerate(readings):
        counter.add(float(reading), float(now), data.draw(st.sampled_from([1000.0, None])))
        assert counter.joules >= before
        assert counter.watts is None or counter.watts == pytest.approx(counter.joules - before)
        before = counter.joules
