from __future__ import annotations

import pytest

from byoi_agent.bench.joules import EnergyTrace
from byoi_agent.hardware.devices import DeviceReading


def card(index=0, **facts):
    return DeviceReading(index=index, kind="nvidia", name="H200", **facts)


def trace(*looks):
    """From (moment, devices) pairs."""
    made = EnergyTrace()
    for at, devices in looks:
        made.note(at, devices)
    return made


def test_a_counter_is_taken_by_the_part_that_lies_within():
    counted = trace(*((float(at), [card(energy_joules=100.0 * at)]) for at in range(10)))
    assert counted.joules(2.5, 6.5) == pytest.approx(400.0)


def test_without_a_counter_power_is_integrated():
    rising = trace(*((float(at), [card(power_watts=100.0 + 10 * at)]) for at in range(5)))
    assert rising.joules(0.0, 4.0) == pytest.approx(480.0)


def test_all_devices_count():
    two = [card(power_watts=100.0), card(1, power_watts=50.0)]
    assert trace((0.0, two), (2.0, two)).joules(0.0, 2.0) == pytest.approx(300.0)


@pytest.mark.parametrize(
    "devices", [[], [card()], [card(power_watts=100.0), card(1)], [card(power_watts=0.0)]]
)
def test_what_is_not_measured_of_all_devices_is_not_told(devices):
    assert trace((0.0, devices), (2.0, devices)).joules(0.0, 2.0) is None


def test_what_lies_outside_the_looks_is_not_guessed():
    known = trace((1.0, [card(power_watts=9.0)]), (2.0, [card(power_watts=9.0)]))
    assert known.joules(0.5, 2.0) is None
    assert known.joules(1.0, 2.5) is None
    assert known.joules(1.5, 1.5) is None
    assert known.joules(1.2, 1.8) == pytest.approx(5.4)


def test_a_stretch_without_a_reading_makes_the_whole_unknown():
    gone = trace((0.0, [card(power_watts=9.0)]), (60.0, [card(power_watts=9.0)]))
    assert gone.joules(10.0, 20.0) is None
