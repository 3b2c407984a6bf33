from __future__ import annotations

import pytest

from byoi_console.nodes.device_flow.machine import (
    EARLY_MS,
    LIFETIME_SECONDS,
    SLOWEST_SECONDS,
    Code,
    Repeat,
    Take,
    Told,
    decision_on,
    poll,
)

NOW = 1_800_000_000_000
ENDS = NOW + LIFETIME_SECONDS * 1000


def code(state="pending", **changes):
    return Code(**{"state": state, "expires_at_ms": ENDS, **changes})


@pytest.mark.parametrize(
    ("kept", "verdict"),
    [
        (code(), Told("authorization_pending", 5)),
        (code(polled_at_ms=NOW - 5000), Told("authorization_pending", 5)),
        (code(polled_at_ms=NOW - 5000 + EARLY_MS), Told("authorization_pending", 5)),
        (code(polled_at_ms=NOW - 4499), Told("slow_down", 10)),
        (code(polled_at_ms=NOW, interval_seconds=10), Told("slow_down", 15)),
        (code(polled_at_ms=NOW, interval_seconds=58), Told("slow_down", SLOWEST_SECONDS)),
        (code("denied"), Told("access_denied", 5)),
        (code("approved"), Take()),
        (code("approved", polled_at_ms=NOW), Take()),
        (code("used"), Repeat()),
        (code("used", polled_at_ms=NOW), Repeat()),
    ],
)
def test_what_a_poll_is_told(kept, verdict):
    assert poll(kept, NOW) == verdict


@pytest.mark.parametrize("state", ["pending", "approved", "denied", "used"])
def test_whatever_its_state_a_code_ends_when_its_time_is_over(state):
    assert poll(code(state), ENDS) == Told("expired_token", 5)
    assert poll(code(state), ENDS - 1) != Told("expired_token", 5)
    assert decision_on(code(state), ENDS) == "over"


def test_a_machine_that_obeys_slow_down_is_let_be():
    hasty = poll(code(polled_at_ms=NOW - 1000), NOW)
    assert hasty == Told("slow_down", 10)
    kept = code(polled_at_ms=NOW, interval_seconds=hasty.interval_seconds)
    assert poll(kept, NOW + 10_000) == Told("authorization_pending", 10)
    assert poll(kept, NOW + 5000) == Told("slow_down", 15)


def test_a_code_is_decided_once():
    assert decision_on(code(), NOW) == "open"
    assert {decision_on(code(s), NOW) for s in ("approved", "denied", "used")} == {"decided"}
