from __future__ import annotations

import pytest

from byoi_console.accounts.principal import Principal
from byoi_console.errors import LimitExceeded
from byoi_console.policy.enforcement import Enforcement


def principal(name="key_1", **limits):
    return Principal(key_id=name, org_id="org_1", scope="inference", **limits)


def test_a_key_without_limits_is_always_admitted_and_has_no_headers(clock):
    enforcement = Enforcement(clock.monotonic)
    admissions = [enforcement.admit(principal()) for _ in range(1000)]
    assert all(admission.headers == {} for admission in admissions)


def test_the_headers_are_openai_s(clock):
    enforcement = Enforcement(clock.monotonic)
    assert enforcement.admit(principal(requests_per_minute=60)).headers == {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "1.000s",
    }


def test_requests_beyond_the_minute_s_limit_are_refused_until_they_waited(clock):
    enforcement = Enforcement(clock.monotonic)
    key = principal(requests_per_minute=2)
    enforcement.admit(key)
    enforcement.admit(key)
    with pytest.raises(LimitExceeded) as refusal:
        enforcement.admit(key)
    assert refusal.value.code == "requests_per_minute"
    assert refusal.value.retry_after_seconds == pytest.approx(30.0)
    assert refusal.value.headers["x-ratelimit-remaining-requests"] == "0"
    clock.seconds += 30.0
    enforcement.admit(key)


def test_a_place_is_free_again_once_it_was_released_and_only_once(clock):
    enforcement = Enforcement(clock.monotonic)
    key = principal(max_concurrent=2)
    first, _ = enforcement.admit(key), enforcement.admit(key)
    with pytest.raises(LimitExceeded) as refusal:
        enforcement.admit(key)
    assert refusal.value.code == "max_concurrent"
    assert str(refusal.value) == "This key may have 2 requests running at a time."
    first.release()
    first.release()
    enforcement.admit(key)
    with pytest.raises(LimitExceeded):
        enforcement.admit(key)


def test_a_limit_of_one_is_told_as_one(clock):
    enforcement = Enforcement(clock.monotonic)
    key = principal(max_concurrent=1)
    enforcement.admit(key)
    with pytest.raises(LimitExceeded, match="may have 1 request running"):
        enforcement.admit(key)


def test_a_request_refused_for_concurrency_costs_none_of_the_minute(clock):
    enforcement = Enforcement(clock.monotonic)
    key = principal(max_concurrent=1, requests_per_minute=10)
    running = enforcement.admit(key)
    with pytest.raises(LimitExceeded):
        enforcement.admit(key)
    running.release()
    assert enforcement.admit(key).headers["x-ratelimit-remaining-requests"] == "8"


def test_keys_do_not_share_their_limits(clock):
    enforcement = Enforcement(clock.monotonic)
    for name in ("key_1", "key_2"):
        enforcement.admit(principal(name, max_concurrent=1, requests_per_minute=1))


def test_ten_thousand_keys_used_once_leave_nothing_behind(clock):
    enforcement = Enforcement(clock.monotonic)
    for number in range(10_000):
        enforcement.admit(principal(f"key_{number}", requests_per_minute=1))
    clock.seconds += 61.0
    enforcement.admit(principal("one more", requests_per_minute=1))
    assert len(enforcement._buckets) == 1
