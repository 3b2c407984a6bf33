from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byoi_agent.engine import machine as m
from byoi_agent.engine.view import ServedModel
from byoi_wire.ids import ModelId

LIMITS = m.Limits()
MODELS = (ServedModel(ModelId("a"), "a", ()),)
OTHERS = (ServedModel(ModelId("b"), "b", ()),)
NOW = 1000.0

TABLE = [
    (m.Stopped(), m.StartWanted(), m.Preparing(1), [m.Prepare()]),
    (m.Failed("x"), m.StartWanted(), m.Preparing(1), [m.Prepare()]),
    (m.Preparing(3), m.Prepared(), m.Starting(3, 1030.0), [m.Spawn(), m.WakeAt(1030.0)]),
    (m.Preparing(3), m.PrepareFailed("x", is_final=True), m.Failed("x"), []),
    (
        m.Preparing(3),
        m.PrepareFailed("x", is_final=False),
        m.BackingOff(3, 1004.0, "x"),
        [m.WakeAt(1004.0)],
    ),
    (m.Preparing(3), m.StopWanted(), m.Stopped(), [m.AbandonPrepare()]),
    (m.Starting(2, 1030.0), m.Answered(MODELS), m.Ready(2, NOW, MODELS), []),
    (m.Starting(2, 1000.1), m.Woke(), m.Starting(2, 1000.1), []),
    (
        m.Starting(2, 1000.0),
        m.Woke(),
        m.Ending(2, "it gave no answer within 30 s of its start"),
        [m.Kill()],
    ),
    (m.Starting(2, 1030.0), m.Exited("x"), m.BackingOff(2, 1002.0, "x"), [m.WakeAt(1002.0)]),
    (
        m.Starting(2, 1030.0),
        m.StopWanted(),
        m.Draining(1010.0),
        [m.Terminate(), m.WakeAt(1010.0)],
    ),
    (m.Ready(2, 900.0, MODELS), m.Answered(OTHERS), m.Ready(2, 900.0, OTHERS), []),
    (m.Ready(4, 900.0, MODELS), m.Unhealthy("x"), m.Ending(4, "x"), [m.Kill()]),
    (m.Ready(4, 400.0, MODELS), m.Unhealthy("x"), m.Ending(1, "x"), [m.Kill()]),
    (
        m.Ready(4, 400.1, MODELS),
        m.Exited("x"),
        m.BackingOff(4, 1008.0, "x"),
        [m.WakeAt(1008.0)],
    ),
    (
        m.Ready(4, 400.0, MODELS),
        m.Exited("x"),
        m.BackingOff(1, 1001.0, "x"),
        [m.WakeAt(1001.0)],
    ),
    (
        m.Ready(4, 400.0, MODELS),
        m.StopWanted(),
        m.Draining(1010.0),
        [m.Terminate(), m.WakeAt(1010.0)],
    ),
    (m.Draining(1010.0), m.StartWanted(), m.Draining(1010.0, then_start=True), []),
    (m.Draining(1010.0, then_start=True), m.StopWanted(), m.Draining(1010.0), []),
    (m.Draining(1010.0), m.Woke(), m.Draining(1010.0), []),
    (m.Draining(1000.0), m.Woke(), m.Draining(1000.0), [m.Kill()]),
    (m.Draining(1010.0), m.Exited("x"), m.Stopped(), []),
    (m.Draining(1010.0, then_start=True), m.Exited("x"), m.Preparing(1), [m.Prepare()]),
    (m.Ending(2, "x"), m.StopWanted(), m.Draining(NOW), []),
    (m.Ending(2, "x"), m.Answered(MODELS), m.Ending(2, "x"), []),
    (m.Ending(2, "x"), m.Exited("y"), m.BackingOff(2, 1002.0, "x"), [m.WakeAt(1002.0)]),
    (m.BackingOff(2, 1000.1, "x"), m.Woke(), m.BackingOff(2, 1000.1, "x"), []),
    (m.BackingOff(2, 1000.0, "x"), m.Woke(), m.Preparing(3), [m.Prepare()]),
    (m.BackingOff(2, 1000.0, "x"), m.StartWanted(), m.BackingOff(2, 1000.0, "x"), []),
    (m.BackingOff(2, 1000.0, "x"), m.StopWanted(), m.Stopped(), []),
    (m.Stopped(), m.Exited("x"), m.Stopped(), []),
    (m.Stopped(), m.Prepared(), m.Stopped(), []),
]


@pytest.mark.parametrize(("state", "event", "after", "commands"), TABLE, ids=repr)
def test_each_pair_gives_its_state_and_commands(state, event, after, commands):
    assert m.step(state, event, NOW, LIMITS) == (after, commands)


def test_waits_double_up_to_five_minutes_and_never_end():
    waits = []
    for attempt in [*range(1, 12), 5000]:
        state, _ = m.step(m.Starting(attempt, 0.0), m.Exited("x"), 0.0, LIMITS)
        assert isinstance(state, m.BackingOff)
        waits.append(state.until)
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]


events = st.one_of(
    st.sampled_from(
        [
            m.StartWanted(),
            m.StopWanted(),
            m.Prepared(),
            m.PrepareFailed("x", is_final=False),
            m.PrepareFailed("x", is_final=True),
            m.Answered(MODELS),
            m.Unhealthy("x"),
            m.Exited("x"),
            m.Woke(),
        ]
    )
)
steps = st.lists(st.tuples(events, st.floats(0, 1000)), max_size=60)
ALIVE = (m.Starting, m.Ready, m.Draining, m.Ending)


@given(steps)
def test_there_is_never_a_second_process_and_none_without_a_state_that_knows(history):
    state: m.State = m.Stopped()
    now, running = 0.0, False
    for event, later in history:
        now += later
        if isinstance(event, m.Exited) and not running:
            continue  # it comes from a process alone
        running = running and not isinstance(event, m.Exited)
        state, commands = m.step(state, event, now, LIMITS)
        for command in commands:
            if isinstance(command, m.Spawn):
                assert not running
                running = True
            if isinstance(command, m.Kill | m.Terminate):
                assert running
        assert running == isinstance(state, ALIVE)


@given(steps)
def test_whoever_waits_has_asked_to_be_woken(history):
    state: m.State = m.Stopped()
    now, wake = 0.0, None
    for event, later in history:
        now += later
        state, commands = m.step(state, event, now, LIMITS)
        for command in commands:
            if isinstance(command, m.WakeAt):
                wake = command.at
        if isinstance(state, m.BackingOff):
            assert wake == state.until
            assert wake <= now + 300
        if isinstance(state, m.Starting):
            assert wake == state.deadline


@given(steps)
def test_a_stop_ends_in_stopped_whatever_went_before(history):
    state: m.State = m.Stopped()
    for event, later in history:
        state, _ = m.step(state, event, later, LIMITS)
    for event in (m.StopWanted(), m.Exited("x")):
        state, commands = m.step(state, event, 0.0, LIMITS)
        assert not any(isinstance(command, m.Spawn | m.Prepare) for command in commands)
    assert isinstance(state, m.Stopped | m.Failed)
