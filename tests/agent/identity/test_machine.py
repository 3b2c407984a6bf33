from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byoi_agent.identity.machine import (
    SLOW_DOWN_SECONDS,
    Ask,
    Asking,
    CodeGiven,
    Decided,
    End,
    Ended,
    Idle,
    NotReached,
    StillPending,
    ToldToSlowDown,
    Waiting,
    WakeAt,
    Woke,
    step,
)

WAITING = Waiting(until=105.0, interval_seconds=5.0, expires_at=1000.0)
ASKING = Asking(interval_seconds=5.0, expires_at=1000.0, failures=0)


@pytest.mark.parametrize(
    ("state", "event", "now", "after", "commands"),
    [
        (Idle(), CodeGiven(5, 900), 100, WAITING, [WakeAt(105)]),
        (WAITING, Woke(), 104, WAITING, []),
        (WAITING, Woke(), 105, ASKING, [Ask()]),
        (WAITING, Woke(), 1000, Ended("expired"), [End("expired")]),
        (ASKING, StillPending(), 100, WAITING, [WakeAt(105)]),
        (ASKING, ToldToSlowDown(), 100, Waiting(110, 10, 1000), [WakeAt(110)]),
        (ASKING, NotReached(0.0), 100, Waiting(110, 5, 1000, 1), [WakeAt(110)]),
        (ASKING, NotReached(0.0, 30.0), 100, Waiting(130, 5, 1000, 1), [WakeAt(130)]),
        (ASKING, NotReached(0.0, 1.0), 100, Waiting(105, 5, 1000, 1), [WakeAt(105)]),
        (ASKING, Decided("admitted"), 100, Ended("admitted"), [End("admitted")]),
        (ASKING, Decided("denied"), 100, Ended("denied"), [End("denied")]),
        (ASKING, Woke(), 100, ASKING, []),
        (Ended("denied"), StillPending(), 100, Ended("denied"), []),
    ],
)
def test_each_event_leads_where_the_rfc_says(state, event, now, after, commands):
    assert step(state, event, now) == (after, commands)


def test_a_console_that_stays_away_is_asked_less_and_less_but_never_less_than_once_a_minute():
    waits = []
    for failures in range(7):
        _, [wake] = step(Asking(5.0, 1e6, failures), NotReached(0.0), 0.0)
        waits.append(wake.at)
    assert waits == [10, 20, 40, 60, 60, 60, 60]


def test_an_answer_after_a_silence_brings_the_old_pace_back():
    state, _ = step(Asking(5.0, 1000.0, failures=4), StillPending(), 100.0)
    assert state == WAITING


@pytest.mark.parametrize(
    ("interval", "lifetime", "wake_at", "expires_at"),
    [(0, 900, 101, 1000), (-5, 900, 101, 1000), (1e9, 900, 160, 1000), (5, 1e12, 105, 3700)],
)
def test_a_console_can_make_a_node_neither_spin_nor_wait_for_ever(
    interval, lifetime, wake_at, expires_at
):
    state, commands = step(Idle(), CodeGiven(interval, lifetime), 100.0)
    assert commands == [WakeAt(wake_at)]
    assert state.expires_at == expires_at


answers = st.one_of(
    st.just(StillPending()),
    st.just(ToldToSlowDown()),
    st.builds(
        NotReached,
        st.floats(0, 0.999),
        st.one_of(st.none(), st.floats(0, 3600)),
    ),
    st.builds(Decided, st.sampled_from(["admitted", "denied", "expired", "refused"])),
)


@given(
    interval=st.floats(-10, 100),
    lifetime=st.floats(-10, 5000),
    given_answers=st.lists(answers, max_size=60),
    late=st.lists(st.floats(0, 20), min_size=61, max_size=61),
)
def test_the_pace_is_kept_and_the_wait_ends(interval, lifetime, given_answers, late):
    """Never sooner than allowed, each question answered before the next, never after the end."""
    now = 50.0
    state, commands = step(Idle(), CodeGiven(interval, lifetime), now)
    allowed, last_asked = state.interval_seconds, now
    expires_at = state.expires_at
    for answer, delay in zip([*given_answers, None], late, strict=False):
        [wake] = commands
        assert wake.at <= expires_at
        now = wake.at + delay
        state, commands = step(state, Woke(), now)
        if isinstance(state, Ended):
            assert state.outcome == "expired"
            assert now >= expires_at
            return
        assert commands == [Ask()]
        assert now - last_asked >= allowed - 1e-6
        assert now < expires_at
        if answer is None:
            return
        last_asked = now
        state, commands = step(state, answer, now)
        if isinstance(answer, ToldToSlowDown):
            allowed += SLOW_DOWN_SECONDS
        if isinstance(answer, Decided):
            assert (state, commands) == (Ended(answer.outcome), [End(answer.outcome)])
            assert step(state, Woke(), now + 1) == (state, [])
            return
