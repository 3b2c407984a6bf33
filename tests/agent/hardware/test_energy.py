from __future__ import annotations

import pytest

from byoi_agent.hardware.devices import DeviceReading
from byoi_agent.hardware.energy import COUNTER_GAP_SECONDS, EnergyMeter, Spent, tells


def card(index=0, *, joules=None, watts=None, limit=None, uuid=None):
    return DeviceReading(
        index=index,
        kind="nvidia",
        name="card",
        uuid=uuid,
        energy_joules=joules,
        power_watts=watts,
        power_limit_watts=limit,
    )


@pytest.fixture
def meter():
    return EnergyMeter()


def test_the_first_look_at_a_device_measures_nothing(meter):
    assert meter.read([card(joules=5.0, watts=100.0)], 10.0) == ()


def test_a_devices_own_counter_is_taken_before_its_power(meter):
    meter.read([card(joules=1000.0, watts=100.0)], 10.0)
    assert meter.read([card(joules=1300.0, watts=100.0)], 12.0) == (
        Spent(0, 10.0, 12.0, 300.0, "counter"),
    )


def test_power_alone_is_integrated_by_the_trapezoid_rule(meter):
    meter.read([card(watts=100.0)], 10.0)
    assert meter.read([card(watts=300.0)], 12.0) == (Spent(0, 10.0, 12.0, 400.0, "power"),)


def test_a_device_that_tells_neither_is_left_out_and_zero_watts_are_told(meter):
    assert not tells(card())
    assert tells(card(watts=0.0))
    meter.read([card()], 10.0)
    assert meter.read([card()], 12.0) == ()


def test_a_counter_that_begins_anew_gives_way_to_power_for_that_time(meter):
    meter.read([card(joules=9000.0, watts=50.0)], 0.0)
    assert meter.read([card(joules=3.0, watts=50.0)], 1.0) == (Spent(0, 0.0, 1.0, 50.0, "power"),)
    assert meter.read([card(joules=53.0, watts=50.0)], 2.0) == (
        Spent(0, 1.0, 2.0, 50.0, "counter"),
    )


def test_a_counter_that_begins_anew_without_power_is_not_guessed(meter):
    meter.read([card(joules=9000.0)], 0.0)
    assert meter.read([card(joules=3.0)], 1.0) == (Spent(0, 0.0, 1.0, None, None),)


@pytest.mark.parametrize(
    ("limit", "joules", "is_believed"),
    [(300.0, 1700.0, True), (300.0, 1900.0, False), (None, 9_900.0, True), (None, 11_000.0, False)],
)
def test_a_counter_that_leaps_is_not_believed(meter, limit, joules, is_believed):
    meter.read([card(joules=0.0, limit=limit)], 0.0)
    (spent,) = meter.read([card(joules=joules, limit=limit)], 1.0)
    assert spent.joules == (joules if is_believed else None)


def test_two_close_looks_may_see_a_whole_step_of_the_counter(meter):
    meter.read([card(joules=0.0, limit=300.0)], 0.0)
    (spent,) = meter.read([card(joules=30.0, limit=300.0)], 0.001)
    assert spent.joules == 30.0


def test_power_is_not_integrated_over_a_gap_in_which_it_may_have_been_anything(meter):
    meter.read([card(watts=100.0)], 0.0)
    assert meter.read([card(watts=100.0)], 16.0) == (Spent(0, 0.0, 16.0, None, None),)


def test_a_counter_counts_over_such_a_gap(meter):
    meter.read([card(joules=0.0)], 0.0)
    assert meter.read([card(joules=900.0)], 60.0) == (Spent(0, 0.0, 60.0, 900.0, "counter"),)


def test_a_device_lost_in_mid_interval_is_told_of_when_it_is_back(meter):
    meter.read([card(joules=0.0), card(1, joules=0.0)], 0.0)
    assert [spent.device for spent in meter.read([card(1, joules=10.0)], 1.0)] == [1]
    back = meter.read([card(joules=80.0), card(1, joules=20.0)], 2.0)
    assert back[0] == Spent(0, 0.0, 2.0, 80.0, "counter")


def test_a_device_that_stays_away_is_given_up_once(meter):
    meter.read([card(joules=0.0)], 0.0)
    assert meter.read([], COUNTER_GAP_SECONDS) == ()
    late = COUNTER_GAP_SECONDS + 1
    assert meter.read([], late) == (Spent(0, 0.0, late, None, None, is_gone=True),)
    assert meter.read([], late + 1) == ()
    assert meter.read([card(joules=5.0)], late + 2) == ()


def test_a_machine_that_slept_on_a_clock_that_went_on_has_not_measured_that_time(meter):
    meter.read([card(joules=0.0, watts=40.0)], 0.0)
    hours = 8 * 3600.0
    (spent, *_) = meter.read([card(joules=50.0, watts=40.0)], hours)
    assert spent == Spent(0, 0.0, hours, None, None)


def test_a_machine_that_slept_on_a_clock_that_stood_loses_nothing(meter):
    meter.read([card(joules=70.0, watts=40.0)], 5.0)
    (spent,) = meter.read([card(joules=1.0, watts=42.0)], 6.0)  # the card was without current
    assert spent == Spent(0, 5.0, 6.0, 41.0, "power")


def test_two_looks_at_one_moment_or_a_step_back_are_no_news(meter):
    meter.read([card(joules=0.0)], 5.0)
    assert meter.read([card(joules=1.0)], 5.0) == ()
    assert meter.read([card(joules=2.0)], 4.0) == ()
    (spent,) = meter.read([card(joules=3.0)], 6.0)
    assert (spent.since, spent.joules) == (5.0, 3.0)


def test_another_card_in_the_same_place_is_another_counter(meter):
    meter.read([card(joules=100.0, uuid="GPU-1")], 0.0)
    assert meter.read([card(joules=900.0, uuid="GPU-2")], 1.0) == ()


def test_devices_are_told_apart(meter):
    meter.read([card(joules=0.0), card(1, watts=10.0)], 0.0)
    spent = meter.read([card(joules=7.0), card(1, watts=10.0)], 1.0)
    assert [(one.device, one.joules, one.method) for one in spent] == [
        (0, 7.0, "counter"),
        (1, 10.0, "power"),
    ]
