from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byoi_console.policy.limits import Allowed, Bucket, Refused, take


def test_a_bucket_never_used_is_full():
    assert take(None, 100.0, 60) == Allowed(Bucket(59.0, 100.0), 59, 1.0)


def test_an_empty_bucket_refuses_and_says_when_to_come_back():
    assert take(Bucket(0.0, 100.0), 100.0, 60) == Refused(1.0, 60.0)


def test_a_bucket_refills_evenly():
    assert take(Bucket(0.0, 100.0), 101.5, 60) == Allowed(Bucket(0.5, 101.5), 0, 59.5)


def test_a_bucket_never_holds_more_than_its_limit():
    assert take(Bucket(3.0, 0.0), 10_000.0, 5) == Allowed(Bucket(4.0, 10_000.0), 4, 12.0)


def test_a_clock_that_went_back_refills_nothing():
    assert take(Bucket(0.5, 100.0), 0.0, 60) == Refused(0.5, 59.5)


def test_a_lowered_limit_holds_at_once():
    assert take(Bucket(1000.0, 0.0), 0.0, 2) == Allowed(Bucket(1.0, 0.0), 1, 30.0)


def test_no_request_at_all_is_a_limit_too():
    assert take(None, 0.0, 0) == Refused(60.0, 60.0)


@given(
    limit=st.integers(1, 100),
    gaps=st.lists(st.floats(0, 30, allow_nan=False), min_size=1, max_size=200),
)
def test_no_window_of_a_minute_lets_more_through_than_twice_the_limit(limit, gaps):
    bucket, now, allowed = None, 0.0, []
    for gap in gaps:
        now += gap
        taken = take(bucket, now, limit)
        if isinstance(taken, Allowed):
            bucket = taken.bucket
            allowed.append(now)
    for start in allowed:
        assert sum(start <= at < start + 60 for at in allowed) <= 2 * limit


@given(left=st.floats(0, 0.999), limit=st.integers(1, 1000))
def test_a_refused_request_is_let_through_when_it_waited_as_told(left, limit):
    refused = take(Bucket(left, 0.0), 0.0, limit)
    assert isinstance(refused, Refused)
    again = take(Bucket(left, 0.0), refused.retry_after_seconds + 1e-6, limit)
    assert isinstance(again, Allowed)
    assert again.reset_seconds == pytest.approx(60.0, abs=60 / limit + 1)
