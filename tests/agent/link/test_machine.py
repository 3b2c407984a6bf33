"""The link's decisions: a table of what follows what, and what holds whatever happens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byoi_agent.link import machine as m

LIMITS = m.Limits(base_seconds=1.0, cap_seconds=60.0)
R0 = m.FIRST_TRY
R1 = m.Retries(1, 0.5)

TABLE = [
    (m.Idle(), m.StartWanted(), m.Dialling(R0), [m.Dial()]),
    (m.Idle(), m.Woke(), m.Idle(), []),
    (m.Dialling(R1, 20.0), m.Welcomed(15.0), m.Online(10.0, R1, 15.0), []),
    (
        m.Dialling(R0, 20.0),
        m.Failed(0.5),
        m.Waiting(10.5, m.Retries(1, 0.5), 20.0),
        [m.WakeAt(10.5)],
    ),
    (
        m.Dialling(m.Retries(30, 3.0)),
        m.Failed(0.5),
        m.Waiting(40.0, m.Retries(31, 30.0)),
        [m.WakeAt(40.0)],
    ),
    (
        m.Dialling(R0),
        m.Failed(0.5, retry_after_seconds=100.0),
        m.Waiting(115.0, m.Retries(1, 105.0)),
        [m.WakeAt(115.0)],
    ),
    (m.Dialling(R0, 10.0), m.Woke(), m.Dialling(R0), [m.Abandon()]),
    (m.Dialling(R0, 10.1), m.Woke(), m.Dialling(R0, 10.1), []),
    (m.Dialling(R0), m.Woke(), m.Dialling(R0), []),
    (m.Waiting(10.0, R1, 20.0), m.Woke(), m.Dialling(R1, 20.0), [m.Dial()]),
    (m.Waiting(11.0, R1, 10.0), m.Woke(), m.Waiting(11.0, R1), [m.Abandon()]),
    (m.Waiting(10.0, R1, 10.0), m.Woke(), m.Dialling(R1), [m.Abandon(), m.Dial()]),
    (m.Waiting(11.0, R1, 20.0), m.Woke(), m.Waiting(11.0, R1, 20.0), []),
    (m.Waiting(11.0, R1, 20.0), m.RouteChanged(), m.Dialling(R1, 20.0), [m.Dial()]),
    (m.Online(1.0, R0, 15.0), m.GoneAway(3.0), m.Online(1.0, R0, 15.0, 3.0), []),
    (
        m.Online(1.0, R0, 15.0),
        m.RouteChanged(),
        m.Online(1.0, R0, 15.0, 0.0),
        [m.Drop("the network changed")],
    ),
    (
        m.Online(1.0, R0, 15.0),
        m.KeyChanged(),
        m.Online(1.0, R0, 15.0, 0.0),
        [m.Drop("the node's key changed")],
    ),
    (
        m.Online(9.0, m.Retries(4, 0.5), 15.0),
        m.Failed(0.25),
        m.Waiting(10.25, m.Retries(1, 0.25), 25.0),
        [m.WakeAt(25.0), m.WakeAt(10.25)],
    ),
    (
        m.Online(9.0, m.Retries(4, 5.0), 15.0),
        m.Failed(0.25),
        m.Waiting(14.0, m.Retries(5, 4.0), 25.0),
        [m.WakeAt(25.0), m.WakeAt(14.0)],
    ),
    (
        m.Online(9.0, m.Retries(4, 5.0), 15.0),
        m.Failed(0.25, answers=1),
        m.Waiting(10.25, m.Retries(5, 0.25), 25.0),
        [m.WakeAt(25.0), m.WakeAt(10.25)],
    ),
    (
        m.Dialling(m.Retries(4, 5.0)),
        m.Failed(0.25, answers=1),
        m.Waiting(14.0, m.Retries(5, 4.0)),
        [m.WakeAt(14.0)],
    ),
    (
        m.Online(9.0, R0, 15.0, 0.0),
        m.Failed(0.9),
        m.Dialling(R0, 25.0),
        [m.WakeAt(25.0), m.Dial()],
    ),
    (
        m.Online(9.5, R0, 15.0, 0.0),
        m.Failed(0.5),
        m.Waiting(10.5, m.Retries(1, 0.5), 25.0),
        [m.WakeAt(25.0), m.WakeAt(10.5)],
    ),
    (
        m.Online(9.0, R0, 15.0, 3.0),
        m.Failed(0.9),
        m.Waiting(13.0, R0, 25.0),
        [m.WakeAt(25.0), m.WakeAt(13.0)],
    ),
    (
        m.Online(9.0, R0, 15.0),
        m.Rejected("replaced", "why"),
        m.Stopped("replaced", "why"),
        [m.Abandon(), m.Stop("replaced", "why")],
    ),
    (m.Stopped("revoked", "why"), m.StartWanted(), m.Stopped("revoked", "why"), []),
]


@pytest.mark.parametrize(("state", "event", "following", "commands"), TABLE)
def test_each_pair_leads_where_the_table_says(state, event, following, commands):
    assert m.step(state, event, 10.0, LIMITS) == (following, commands)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("replaced", 78),
        ("revoked", 78),
        ("reauth", 78),
        ("upgrade_required", 78),
        ("wanted", 0),
    ],
)
def test_a_stop_that_only_the_owner_can_mend_exits_78(code, expected):
    assert m.exit_code(code) == expected


_dice = st.floats(0, 1, exclude_max=True)
_events = st.one_of(
    st.just(m.StartWanted()),
    st.builds(m.Welcomed, st.just(15.0)),
    st.builds(m.Failed, _dice, st.none() | st.floats(0, 300)),
    st.builds(m.GoneAway, st.floats(0, 30)),
    st.just(m.RouteChanged()),
    st.just(m.KeyChanged()),
    st.just(m.Woke()),
    st.just(m.Rejected("revoked", "x")),
)


def _possible(state, event):
    """Only a dial or a link that is under way can end."""
    if isinstance(event, m.Welcomed):
        return isinstance(state, m.Dialling)
    if isinstance(event, m.Failed | m.Rejected):
        return isinstance(state, m.Dialling | m.Online)
    return True


@given(st.lists(st.tuples(_events, st.floats(0, 100)), max_size=60))
def test_there_is_never_a_second_dial_before_the_first_ended(steps):
    state, now, dialling = m.Idle(), 0.0, 0
    for event, passed in steps:
        now += passed
        if not _possible(state, event):
            continue
        if isinstance(event, m.Failed | m.Rejected):
            dialling -= 1
        state, commands = m.step(state, event, now, LIMITS)
        dialling += sum(isinstance(c, m.Dial) for c in commands)
        assert dialling in {0, 1}
        assert dialling == isinstance(state, m.Dialling | m.Online)
        if isinstance(state, m.Waiting):
            assert state.until - now <= LIMITS.cap_seconds or state.retries.last_wait_seconds


@given(st.lists(st.tuples(_events, st.floats(0, 100)), max_size=60))
def test_a_wait_always_ends_by_a_moment_that_was_asked_for(steps):
    state, now, asked = m.Idle(), 0.0, set()
    for event, passed in steps:
        now += passed
        if not _possible(state, event):
            continue
        state, commands = m.step(state, event, now, LIMITS)
        asked |= {c.at for c in commands if isinstance(c, m.WakeAt)}
        if isinstance(state, m.Waiting):
            assert state.until in asked
        if isinstance(state, m.Waiting | m.Dialling) and state.resume_until is not None:
            assert state.resume_until in asked


@given(_dice, st.integers(0, 100))
def test_waits_without_a_hint_stay_within_the_cap(dice, count):
    state, _ = m.step(m.Dialling(m.Retries(count, 1.0)), m.Failed(dice), 0.0, LIMITS)
    assert isinstance(state, m.Waiting)
    assert 0 <= state.until <= LIMITS.cap_seconds
