from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byoi_agent.availability.reclaims import KEPT, Reclaim, Reclaims
from byoi_agent.availability.view import Durations, ReclaimTimes


def took(*seconds):
    found = Reclaims()
    for each in seconds:
        found = found.with_one(Reclaim("active", 1_800_000_000.0, each))
    return found


def test_nothing_has_been_taken_back_yet():
    assert Reclaims().times == ReclaimTimes()


def test_the_times_are_such_as_were_measured():
    times = took(*(each / 100 for each in range(1, 101))).times
    assert (times.count, times.p50_seconds, times.p99_seconds) == (100, 0.5, 0.99)
    assert (times.last_seconds, times.last_cause) == (1.0, "active")


def test_those_of_this_process_are_counted_by_their_time_also_beyond_what_is_kept():
    added = took(*[0.2] * (KEPT + 5), 2.0, 99.0).times.since_start
    by_bound = dict(zip((*added.bounds, None), added.counts, strict=True))
    assert by_bound[0.25] == KEPT + 5
    assert (by_bound[2.0], by_bound[None]) == (1, 1)
    assert sum(added.counts) == KEPT + 7
    assert Reclaims.from_json(took(0.5).to_json()).times.since_start == Durations()


def test_of_one_every_figure_is_it():
    times = took(0.7004).times
    assert (times.p50_seconds, times.p99_seconds, times.last_seconds) == (0.7, 0.7, 0.7)


def test_what_a_server_only_told_is_told_apart_and_older_files_say_nothing_of_it():
    told = Reclaims().with_one(Reclaim("active", 1.0, 0.5, is_told=True))
    assert told.times.last_is_told
    assert not told.with_one(Reclaim("active", 2.0, 0.5)).times.last_is_told
    (older,) = json.loads(told.to_json())
    del older["is_told"]
    assert not Reclaims.from_json(json.dumps([older])).times.last_is_told


@pytest.mark.parametrize(
    ("seconds", "is_back", "is_kept"), [(2.0, True, True), (2.01, True, False), (1.0, False, False)]
)
def test_the_promise_is_two_seconds_and_that_the_memory_was_seen(seconds, is_back, is_kept):
    assert Reclaim("active", 0.0, seconds, is_back).is_kept is is_kept


def test_the_last_thousand_are_kept():
    found = took(*range(KEPT + 5))
    assert (len(found.kept), found.kept[0].seconds) == (KEPT, 5)
    assert len(Reclaims.from_json(json.dumps([json.loads(found.to_json())[0]] * 1200)).kept) == KEPT


@given(
    st.lists(
        st.builds(
            Reclaim,
            st.text(max_size=9),
            st.floats(0, 1e10),
            st.floats(0, 1e6),
            st.booleans(),
            st.text(max_size=9),
            st.booleans(),
        ),
        max_size=9,
    )
)
def test_what_is_kept_is_read_again(them):
    assert Reclaims.from_json(Reclaims(tuple(them)).to_json()).kept == tuple(them)


@pytest.mark.parametrize(
    "line",
    [
        "3",
        "{}",
        '{"cause":"x","at":NaN,"seconds":1,"is_back":true,"slowest":""}',
        '{"cause":"x","at":1,"seconds":Infinity,"is_back":true,"slowest":""}',
        '{"cause":3,"at":1,"seconds":1,"is_back":true,"slowest":""}',
    ],
)
def test_a_line_that_is_none_is_left_out(line):
    good = '{"cause":"x","at":1,"seconds":1,"is_back":true,"slowest":""}'
    assert len(Reclaims.from_json(f"[{line},{good}]").kept) == 1


@pytest.mark.parametrize("text", ["{}", "nonsense", "", "3"])
def test_what_is_no_list_is_refused(text):
    with pytest.raises(ValueError, match=r".+"):
        Reclaims.from_json(text)
