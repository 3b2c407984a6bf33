from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byoi_agent.hardware.energy import Spent
from byoi_agent.usage.attribution import LEFT_SECONDS, STALE_SECONDS, Attribution
from byoi_wire.ids import RecordId

A, B, C = (RecordId(name, 1) for name in "abc")


def spent(since, until, joules, device=0, method="counter", **changes):
    return Spent(device, since, until, joules, method if joules is not None else None, **changes)


@pytest.fixture
def shares():
    return Attribution()


def test_what_is_taken_while_nothing_runs_is_idle(shares):
    assert shares.spend(spent(0.0, 5.0, 50.0)) == 50.0
    assert (shares.idle_joules, shares.by_model, shares.is_busy) == (50.0, {}, False)


def test_one_request_alone_has_all_of_its_time(shares):
    shares.spend(spent(0.0, 10.0, 100.0))
    shares.begin(A, "smol", 10.0)
    assert shares.is_busy
    assert shares.spend(spent(10.0, 11.0, 300.0)) == 0.0
    shares.spend(spent(11.0, 12.0, 200.0))
    assert shares.held_joules == 500.0
    assert shares.settle(A, 12.0) == 500.0
    assert (shares.held_joules, shares.by_model, shares.is_busy) == (0.0, {"smol": 500.0}, False)


def test_two_that_overlap_share_by_their_time(shares):
    shares.begin(A, "smol", 0.0)
    shares.begin(B, "large", 3.0)
    shares.spend(spent(0.0, 4.0, 500.0))
    assert shares.settle(A, 4.0) == 400.0
    assert shares.settle(B, 4.0) == 100.0


def test_of_an_interval_in_which_something_ran_for_a_while_the_rest_is_idle(shares):
    shares.begin(A, "smol", 3.0)
    assert shares.spend(spent(0.0, 4.0, 400.0)) == pytest.approx(300.0)
    assert shares.settle(A, 4.0) == pytest.approx(100.0)


def test_the_idle_rest_is_no_more_than_the_device_takes_when_idle(shares):
    shares.spend(spent(0.0, 10.0, 500.0))  # 50 W
    shares.begin(A, "smol", 13.0)
    assert shares.spend(spent(10.0, 14.0, 500.0)) == pytest.approx(150.0)
    shares.stop(A, 15.0)
    assert shares.spend(spent(14.0, 18.0, 100.0)) == pytest.approx(75.0)  # it takes less by now
    assert shares.settle(A, 18.0) == pytest.approx(350.0 + 25.0)


def test_a_stopped_request_takes_no_more_while_it_is_written_down(shares):
    shares.begin(A, "smol", 0.0)
    shares.stop(A, 1.0)
    shares.stop(A, 3.0)
    assert shares.spend(spent(0.0, 4.0, 400.0)) == pytest.approx(300.0)
    assert shares.settle(A, 4.0) == pytest.approx(100.0)


def test_models_on_different_gpus_take_of_their_own_only(shares):
    shares.begin(A, "smol", 0.0, frozenset({0}))
    shares.begin(B, "large", 0.0, frozenset({1, 2}))
    for device, joules in ((0, 10.0), (1, 200.0), (2, 300.0), (3, 7.0)):
        shares.spend(spent(0.0, 1.0, joules, device))
    assert (shares.settle(A, 1.0), shares.settle(B, 1.0)) == (10.0, 500.0)
    assert shares.idle_joules == 7.0


def test_a_request_shorter_than_the_looks_was_not_measured_and_leaves_its_part(shares):
    shares.spend(spent(0.0, 1.0, 100.0))
    shares.begin(A, "smol", 1.2)
    assert shares.settle(A, 1.4) is None
    shares.spend(spent(1.0, 2.0, 100.0))
    assert shares.held_joules == pytest.approx(20.0)
    assert shares.by_model == {"smol": pytest.approx(20.0)}


def test_short_requests_take_what_those_before_them_left_and_no_more(shares):
    shares.spend(spent(0.0, 1.0, 100.0))
    shares.begin(A, "smol", 1.0)
    shares.settle(A, 1.5)
    shares.spend(spent(1.0, 2.0, 100.0))  # half a second at 100 joules each
    shares.begin(B, "smol", 2.0)
    assert shares.settle(B, 2.25) == pytest.approx(25.0)
    shares.begin(C, "smol", 2.25)
    assert shares.settle(C, 2.9) == pytest.approx(25.0)  # its rate says 65, there are 25


def test_of_a_request_while_a_device_was_lost_nothing_is_told(shares):
    shares.begin(A, "smol", 0.0)
    shares.spend(spent(0.0, 1.0, 30.0))
    shares.spend(spent(1.0, 2.0, None))
    shares.spend(spent(2.0, 3.0, 30.0))
    assert shares.settle(A, 3.0) is None
    assert shares.held_joules == 60.0  # what was measured of it is its model's


def test_of_a_request_that_ends_while_the_device_is_lost_nothing_is_told(shares):
    shares.spend(spent(0.0, 1.0, 30.0))
    shares.begin(A, "smol", 1.0)
    shares.spend(spent(1.0, 2.0, 30.0))
    assert shares.settle(A, 2.0 + STALE_SECONDS + 0.1) is None
    shares.spend(spent(2.0, 8.0, 60.0))
    assert shares.held_joules == pytest.approx(30.0 + 51.0)


def test_a_device_that_is_gone_is_not_waited_for(shares):
    shares.spend(spent(0.0, 1.0, 30.0))
    shares.spend(spent(0.0, 1.0, 30.0, device=1))
    shares.spend(spent(1.0, 122.0, None, is_gone=True))
    shares.begin(A, "smol", 122.0)
    shares.spend(spent(122.0, 123.0, 40.0, device=1))
    assert shares.settle(A, 123.0) == 40.0
    shares.spend(spent(1.0, 123.0, None, device=9, is_gone=True))


def test_where_no_device_measures_nothing_is_told(shares):
    shares.begin(A, "smol", 0.0)
    assert shares.settle(A, 60.0) is None
    assert shares.settle(A, 60.0) is None
    shares.stop(A, 61.0)
    assert not shares.knows(A)


def test_what_is_left_to_a_model_that_nobody_asks_is_taken_off_its_hands(shares):
    shares.spend(spent(0.0, 1.0, 100.0))
    shares.begin(A, "smol", 1.0)
    shares.settle(A, 1.5)
    shares.spend(spent(1.0, 2.0, 100.0))
    shares.begin(B, "smol", 2.0)
    assert shares.take_left(70.0) == {}  # somebody may still take it
    assert shares.knows(B)
    shares.settle(B, 2.0)
    assert shares.take_left(2.0 + LEFT_SECONDS) == {}
    assert shares.take_left(2.1 + LEFT_SECONDS) == {"smol": pytest.approx(50.0)}
    assert shares.take_left(999.0, at_once=True) == {}


def test_at_the_end_all_that_is_left_is_taken(shares):
    shares.spend(spent(0.0, 1.0, 100.0))
    shares.begin(A, "smol", 1.0)
    shares.settle(A, 1.5)
    shares.spend(spent(1.0, 2.0, 100.0))
    assert shares.take_left(2.0, at_once=True) == {"smol": pytest.approx(50.0)}


def test_the_time_in_which_anything_ran_is_shared_as_well(shares):
    shares.begin(A, "smol", 0.0)
    shares.begin(B, "large", 1.0)
    shares.settle(A, 2.0)
    shares.settle(B, 3.0)
    shares.begin(C, "large", 6.0)
    busy = shares.busy_seconds(0.0, 7.0)
    assert busy == {"smol": pytest.approx(4 * 2 / 5), "large": pytest.approx(4 * 3 / 5)}
    assert shares.busy_seconds(4.0, 5.0) == {}


def test_requests_that_no_later_look_can_concern_are_forgotten(shares):
    shares.begin(A, "smol", 0.0)
    shares.settle(A, 1.0)
    shares.forget_before(2.0)
    assert shares.busy_seconds(0.0, 2.0) == {}
    shares.spend(spent(0.0, 2.0, 1.0))
    shares.begin(B, "smol", 2.0)
    shares.settle(B, 3.0)
    shares.forget_before(9.0)  # the device has been seen at 2
    assert shares.busy_seconds(2.0, 3.0) == {"smol": 1.0}


moves = st.lists(
    st.tuples(
        st.floats(0.0, 7.0),
        st.sampled_from(["begin", "stop", "settle", "look", "lost", "left"]),
        st.integers(0, 5),
        st.integers(0, 2),
        st.one_of(st.none(), st.floats(0.0, 1e6)),
    ),
    max_size=40,
)


@given(moves)
def test_what_is_given_left_and_idle_is_always_what_was_measured(steps):
    shares, now, measured, told = Attribution(), 0.0, 0.0, 0.0
    ids, running, seen = itertools.count(), [], dict.fromkeys(range(3), 0.0)
    for wait, move, number, device, joules in steps:
        now += wait
        record_id = running[number % len(running)] if running else RecordId("none", 1)
        match move:
            case "begin":
                running.append(RecordId(f"r{next(ids)}", 1))
                devices = None if number < 3 else frozenset({device})
                shares.begin(running[-1], f"m{number % 2}", now, devices)
            case "stop":
                shares.stop(record_id, now)
            case "settle":
                running = [one for one in running if one != record_id]
                share = shares.settle(record_id, now)
                assert share is None or share >= 0.0
                told += share or 0.0
            case "left":
                told += sum(shares.take_left(now, at_once=number > 3).values())
            case _ if now > seen[device]:
                found = None if move == "lost" else joules
                measured += found or 0.0
                assert shares.spend(spent(seen[device], now, found, device)) >= 0.0
                seen[device] = now
                shares.forget_before(now)
    assert told + shares.held_joules + shares.idle_joules == pytest.approx(measured, rel=1e-9)
    shared = shares.idle_joules + sum(shares.by_model.values())
    assert shared == pytest.approx(measured, rel=1e-9)
