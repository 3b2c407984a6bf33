from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byoi_agent.engine import life as m
from byoi_agent.engine.machine import step
from byoi_agent.engine.view import ServedModel
from byoi_wire.ids import ModelId

LIMITS = m.Limits()
SLEEPERS = m.Limits(can_sleep=True)
MODELS = (ServedModel(ModelId("a"), "a", ()),)
OTHERS = (ServedModel(ModelId("b"), "b", ()),)
NOW = 1000.0

HUSH = [m.CutRequests(), m.Sleep(), m.WakeAt(1030.0)]
LEAVE = [m.CutRequests(), m.Terminate(), m.WakeAt(1010.0)]
ROUSE = [m.Rouse(), m.WakeAt(1030.0)]
LATE = m.Woke()
START, STOP, SLEEP = m.StartWanted(), m.StopWanted(7.0), m.SleepWanted(5.0)


def quieting(deadline=1005.0, then="sleep"):
    return m.Quieting(4, 900.0, MODELS, deadline, then)


TABLE = [
    (m.Stopped(), START, m.Preparing(1), [m.Prepare()]),
    (m.Failed("x"), START, m.Preparing(1), [m.Prepare()]),
    (m.Preparing(3), m.Prepared(), m.Starting(3, 1030.0), [m.Spawn(), m.WakeAt(1030.0)]),
    (m.Preparing(3), m.PrepareFailed("x", is_final=True), m.Failed("x"), []),
    (
        m.Preparing(3),
        m.PrepareFailed("x", is_final=False),
        m.BackingOff(3, 1004.0, "x"),
        [m.WakeAt(1004.0)],
    ),
    (m.Preparing(3), STOP, m.Stopped(), [m.AbandonPrepare()]),
    (m.Preparing(3), m.Exited("x"), m.Preparing(3), []),
    (m.Starting(2, 1030.0), m.Answered(MODELS), m.Ready(2, NOW, MODELS), []),
    (m.Starting(2, 1000.1), LATE, m.Starting(2, 1000.1), []),
    (
        m.Starting(2, 1000.0),
        LATE,
        m.Ending(2, "it gave no answer within 30 s of its start"),
        [m.Kill()],
    ),
    (m.Starting(2, 1030.0), m.Exited("x"), m.BackingOff(2, 1002.0, "x"), [m.WakeAt(1002.0)]),
    (m.Starting(2, 1030.0), m.Unfit("x"), m.Ending(2, "x", is_final=True), [m.Kill()]),
    (m.Starting(2, 1030.0), STOP, m.Draining(1010.0), LEAVE),
    (m.Ready(2, 900.0, MODELS), m.Answered(OTHERS), m.Ready(2, 900.0, OTHERS), []),
    (m.Ready(2, 900.0, MODELS), m.Doubted("x"), m.Ready(2, 900.0, MODELS, "x"), []),
    (m.Ready(2, 900.0, MODELS, "x"), m.Answered(OTHERS), m.Ready(2, 900.0, OTHERS), []),
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
    (m.Ready(4, 900.0, MODELS), STOP, quieting(1007.0, "stop"), [m.WakeAt(1007.0)]),
    (m.Ready(4, 900.0, MODELS, "x"), START, m.Ready(4, 900.0, MODELS, "x"), []),
    (m.Draining(1010.0), START, m.Draining(1010.0, "serve"), []),
    (m.Draining(1010.0, "serve"), STOP, m.Draining(1010.0), [m.WakeAt(1010.0)]),
    (m.Draining(1010.0), LATE, m.Draining(1010.0), []),
    (m.Draining(1000.0), LATE, m.Draining(1000.0), [m.Kill()]),
    (m.Draining(1010.0), m.Exited("x"), m.Stopped(), []),
    (m.Draining(1010.0, "serve"), m.Exited("x"), m.Preparing(1), [m.Prepare()]),
    (m.Ending(2, "x"), STOP, m.Draining(NOW), []),
    (m.Ending(2, "x"), m.Answered(MODELS), m.Ending(2, "x"), []),
    (m.Ending(2, "x"), m.Exited("y"), m.BackingOff(2, 1002.0, "x"), [m.WakeAt(1002.0)]),
    (m.Ending(2, "x", is_final=True), m.Exited("y"), m.Failed("x"), []),
    (m.BackingOff(2, 1000.1, "x"), LATE, m.BackingOff(2, 1000.1, "x"), []),
    (m.BackingOff(2, 1000.0, "x"), LATE, m.Preparing(3), [m.Prepare()]),
    (m.BackingOff(2, 1000.0, "x"), START, m.BackingOff(2, 1000.0, "x"), []),
    (m.BackingOff(2, 1000.0, "x"), STOP, m.Stopped(), []),
    (m.Stopped(), m.Exited("x"), m.Stopped(), []),
    (m.Stopped(), m.Prepared(), m.Stopped(), []),
]

SLEEPY = [
    (m.Ready(4, 900.0, MODELS), SLEEP, quieting(), [m.WakeAt(1005.0)]),
    (m.Ready(4, 900.0, MODELS, "x"), SLEEP, quieting(), [m.WakeAt(1005.0)]),
    (quieting(), START, m.Ready(4, 900.0, MODELS), []),
    (quieting(1001.0), SLEEP, quieting(1001.0), [m.WakeAt(1001.0)]),
    (quieting(1090.0), SLEEP, quieting(1005.0), [m.WakeAt(1005.0)]),
    (quieting(1090.0), STOP, quieting(1007.0, "stop"), [m.WakeAt(1007.0)]),
    (quieting(), LATE, quieting(), []),
    (quieting(), m.Quiet(), m.FallingAsleep(1030.0), HUSH),
    (quieting(1000.0), LATE, m.FallingAsleep(1030.0), HUSH),
    (quieting(then="stop"), m.Quiet(), m.Draining(1010.0), LEAVE),
    (quieting(1000.0, "stop"), LATE, m.Draining(1010.0), LEAVE),
    (quieting(), m.Exited("x"), m.Dormant(), []),
    (quieting(then="stop"), m.Exited("x"), m.Stopped(), []),
    (m.FallingAsleep(1030.0), m.Obeyed(), m.Asleep(), []),
    (m.FallingAsleep(1030.0), m.Disobeyed("x"), m.Draining(1010.0, "sleep"), LEAVE),
    (m.FallingAsleep(1030.0), LATE, m.FallingAsleep(1030.0), []),
    (m.FallingAsleep(1000.0), LATE, m.Draining(NOW, "sleep"), [m.Kill()]),
    (m.FallingAsleep(1030.0), m.Exited("x"), m.Dormant(), []),
    (m.FallingAsleep(1030.0), START, m.FallingAsleep(1030.0, "serve"), []),
    (m.FallingAsleep(1030.0, "serve"), SLEEP, m.FallingAsleep(1030.0), [m.WakeAt(1030.0)]),
    (m.FallingAsleep(1030.0, "serve"), m.Obeyed(), m.Waking(1030.0), ROUSE),
    (m.FallingAsleep(1030.0, "serve"), m.Disobeyed("x"), m.Draining(1010.0, "serve"), LEAVE),
    (m.FallingAsleep(1030.0, "serve"), m.Exited("x"), m.Preparing(1), [m.Prepare()]),
    (m.FallingAsleep(1030.0), STOP, m.Draining(1010.0), LEAVE),
    (m.Asleep(), SLEEP, m.Asleep(), []),
    (m.Asleep(), START, m.Waking(1030.0), ROUSE),
    (m.Asleep(), STOP, m.Draining(1010.0), LEAVE),
    (m.Asleep(), m.Exited("x"), m.Dormant(), []),
    (m.Waking(1020.0), m.Obeyed(), m.Starting(1, 1020.0), []),
    (m.Waking(1020.0), m.Answered(MODELS), m.Waking(1020.0), []),
    (m.Waking(1020.0), m.Disobeyed("x"), m.Ending(1, "it did not wake: x"), [m.Kill()]),
    (m.Waking(1000.1), LATE, m.Waking(1000.1), []),
    (m.Waking(1000.0), LATE, m.Draining(NOW, "serve"), [m.Kill()]),
    (m.Waking(1020.0), m.Exited("x"), m.Preparing(1), [m.Prepare()]),
    (m.Waking(1020.0), SLEEP, m.Waking(1020.0, "sleep"), [m.WakeAt(1020.0)]),
    (m.Waking(1020.0, "sleep"), START, m.Waking(1020.0), []),
    (m.Waking(1020.0, "sleep"), m.Obeyed(), m.FallingAsleep(1030.0), HUSH),
    (m.Waking(1020.0, "sleep"), m.Disobeyed("x"), m.Draining(1010.0, "sleep"), LEAVE),
    (m.Waking(1020.0, "sleep"), m.Exited("x"), m.Dormant(), []),
    (m.Waking(1020.0), STOP, m.Draining(1010.0), LEAVE),
    (m.Dormant(), START, m.Preparing(1), [m.Prepare()]),
    (m.Dormant(), STOP, m.Stopped(), []),
    (m.Dormant(), SLEEP, m.Dormant(), []),
    (m.Preparing(3), SLEEP, m.Dormant(), [m.AbandonPrepare()]),
    (m.Starting(2, 1030.0), SLEEP, m.Draining(1010.0, "sleep"), LEAVE),
    (m.Draining(1010.0), SLEEP, m.Draining(1010.0, "sleep"), [m.WakeAt(1010.0)]),
    (m.Draining(1010.0, "sleep"), m.Exited("x"), m.Dormant(), []),
    (m.Ending(2, "x"), SLEEP, m.Draining(NOW, "sleep"), []),
    (m.BackingOff(2, 1000.0, "x"), SLEEP, m.Dormant(), []),
    (m.Dormant(), LATE, m.Dormant(), []),
    (m.Stopped(), SLEEP, m.Stopped(), []),
    (m.Failed("x"), SLEEP, m.Failed("x"), []),
]


@pytest.mark.parametrize(("state", "event", "after", "commands"), TABLE, ids=repr)
def test_each_pair_gives_its_state_and_commands(state, event, after, commands):
    assert step(state, event, NOW, LIMITS) == (after, commands)


@pytest.mark.parametrize(("state", "event", "after", "commands"), SLEEPY, ids=repr)
def test_sleep_and_waking_give_their_states_and_commands(state, event, after, commands):
    assert step(state, event, NOW, SLEEPERS) == (after, commands)


@pytest.mark.parametrize("event", [m.Quiet(), LATE], ids=repr)
def test_an_engine_that_cannot_sleep_is_ended_instead(event):
    assert step(quieting(1000.0), event, NOW, LIMITS) == (m.Draining(1010.0, "sleep"), LEAVE)


HURRIED = m.Limits(can_sleep=True, startup_seconds=2.0, drain_seconds=2.0, sleep_seconds=2.0)


@pytest.mark.parametrize("state", [m.FallingAsleep(1030.0), m.Waking(1030.0), m.Draining(1030.0)])
def test_what_is_on_its_way_already_is_killed_sooner_for_an_owner_in_a_hurry(state):
    after, commands = step(state, SLEEP, NOW, HURRIED)
    assert (after.deadline, after.then, commands) == (1002.0, "sleep", [m.WakeAt(1002.0)])
    later, commands = step(after, LATE, 1002.0, HURRIED)
    assert (type(later), commands) == (m.Draining, [m.Kill()])
    assert step(later, m.Exited("x"), 1002.0, HURRIED) == (m.Dormant(), [])


def test_waits_double_up_to_five_minutes_and_never_end():
    waits = []
    for attempt in [*range(1, 12), 5000]:
        state, _ = step(m.Starting(attempt, 0.0), m.Exited("x"), 0.0, LIMITS)
        assert isinstance(state, m.BackingOff)
        waits.append(state.until)
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]


events = st.sampled_from(
    [
        m.StartWanted(),
        m.StopWanted(),
        m.SleepWanted(),
        m.SleepWanted(0.0),
        m.Prepared(),
        m.PrepareFailed("x", is_final=False),
        m.PrepareFailed("x", is_final=True),
        m.Answered(MODELS),
        m.Doubted("x"),
        m.Unhealthy("x"),
        m.Unfit("x"),
        m.Quiet(),
        m.Obeyed(),
        m.Disobeyed("x"),
        m.Exited("x"),
        m.Woke(),
    ]
)
steps = st.lists(st.tuples(events, st.floats(0, 1000)), max_size=60)
either = st.sampled_from([LIMITS, SLEEPERS])
NO_PROCESS = (m.Stopped, m.Preparing, m.BackingOff, m.Dormant, m.Failed)


@given(steps, either)
def test_there_is_never_a_second_process_and_none_without_a_state_that_knows(history, limits):
    state: m.State = m.Stopped()
    now, running = 0.0, False
    for event, later in history:
        now += later
        if isinstance(event, m.Exited) and not running:
            continue  # it comes from a process alone
        running = running and not isinstance(event, m.Exited)
        state, commands = step(state, event, now, limits)
        for command in commands:
            if isinstance(command, m.Spawn):
                assert not running
                running = True
            if isinstance(command, m.Kill | m.Terminate | m.Sleep | m.Rouse):
                assert running
        assert running != isinstance(state, NO_PROCESS)


@given(steps, either)
def test_an_engine_serves_only_after_an_answer_and_never_once_told_to_sleep(history, limits):
    """What was told to sleep, or has ended, must wake or start, and answer, before it is ready."""
    state: m.State = m.Stopped()
    now, is_told_to_sleep, has_answered = 0.0, False, False
    for event, later in history:
        now += later
        was_ready = isinstance(state, m.Ready)
        if isinstance(event, m.Exited) and isinstance(state, NO_PROCESS):
            continue
        before = state
        state, commands = step(state, event, now, limits)
        for command in commands:
            if isinstance(command, m.Sleep):
                assert m.CutRequests() in commands[: commands.index(command)]
                assert not is_told_to_sleep
                is_told_to_sleep, has_answered = True, False
            if isinstance(command, m.Rouse):
                assert is_told_to_sleep
                is_told_to_sleep = False
            if isinstance(command, m.Spawn):
                is_told_to_sleep, has_answered = False, False
        if isinstance(before, m.Starting) and isinstance(event, m.Answered):
            has_answered = True
        if isinstance(state, m.Ready):
            assert has_answered
            assert not is_told_to_sleep
        if was_ready and isinstance(event, m.SleepWanted | m.StopWanted):
            assert not isinstance(state, m.Ready)


@given(steps, either)
def test_whoever_waits_has_asked_to_be_woken(history, limits):
    state: m.State = m.Stopped()
    now, wake = 0.0, None
    for event, later in history:
        now += later
        state, commands = step(state, event, now, limits)
        for command in commands:
            if isinstance(command, m.WakeAt):
                wake = command.at
        if isinstance(state, m.BackingOff):
            assert wake == state.until
            assert wake <= now + 300
        if isinstance(state, m.Starting | m.Quieting | m.FallingAsleep | m.Waking):
            assert wake == state.deadline


@given(steps, either)
def test_a_stop_ends_in_stopped_whatever_went_before(history, limits):
    state: m.State = m.Stopped()
    for event, later in history:
        state, _ = step(state, event, later, limits)
    for event in (m.StopWanted(), m.Quiet(), m.Exited("x")):
        state, commands = step(state, event, 0.0, limits)
        assert not any(isinstance(command, m.Spawn | m.Prepare) for command in commands)
    assert isinstance(state, m.Stopped | m.Failed)


@given(steps, either)
def test_a_sleeper_gives_its_memory_back_whatever_went_before(history, limits):
    state: m.State = m.Stopped()
    for event, later in history:
        state, _ = step(state, event, later, limits)
    if isinstance(state, m.Stopped | m.Failed):
        return
    for event in (m.SleepWanted(), m.Quiet(), m.Obeyed(), m.Obeyed(), m.Exited("x")):
        state, commands = step(state, event, 0.0, limits)
        assert not any(isinstance(command, m.Spawn | m.Prepare) for command in commands)
    assert isinstance(state, m.Dormant)
