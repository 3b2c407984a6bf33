"""Decides an engine's life: when it is prepared, started, ended, and how long to wait in between.

An engine of somebody else's has the same life; what is started for it is a session of requests, and
ending it touches nobody's process.

Restarts never run out: whatever time may mend (memory, a driver, a server that comes back) is tried
again after 1, 2, 4 … 300 seconds, its cause shown the while. `Failed` is kept for what only the
owner can mend (a wrong hash, an unknown model).

Asleep, an engine holds no memory of the accelerator and takes no request. Where its kind cannot
sleep (or fails to) it is ended instead, and waking it is a start.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, assert_never

from byoi_agent.engine.life import (
    AbandonPrepare,
    Answered,
    Asleep,
    BackingOff,
    CutRequests,
    Disobeyed,
    Dormant,
    Doubted,
    Draining,
    Ending,
    Exited,
    Failed,
    FallingAsleep,
    Kill,
    Obeyed,
    Prepare,
    Prepared,
    PrepareFailed,
    Preparing,
    Quiet,
    Quieting,
    Ready,
    Rouse,
    Sleep,
    SleepWanted,
    Spawn,
    Starting,
    StartWanted,
    Stopped,
    StopWanted,
    Terminate,
    Unfit,
    Unhealthy,
    WakeAt,
    Waking,
    Woke,
)

if TYPE_CHECKING:
    from byoi_agent.engine.life import Event, Limits, Outcome, State, Wish


def step(state: State, event: Event, now: float, limits: Limits) -> Outcome:
    """Decide what the engine becomes and what must be done about it.

    `now` is monotonic seconds. What commands come to are events. What a state has no case for is
    not news to it.
    """
    match state:
        case Stopped() | Failed():
            return _at_rest(state, event)
        case Preparing():
            return _preparing(state, event, now, limits)
        case Starting():
            return _starting(state, event, now, limits)
        case Ready():
            return _ready(state, event, now, limits)
        case Quieting():
            return _quieting(state, event, now, limits)
        case FallingAsleep():
            return _falling_asleep(state, event, now, limits)
        case Asleep():
            return _asleep(state, event, now, limits)
        case Dormant():
            return _dormant(state, event)
        case Waking():
            return _waking(state, event, now, limits)
        case Draining():
            return _draining(state, event, now, limits)
        case Ending():
            return _ending(state, event, now, limits)
        case BackingOff():
            return _backing_off(state, event, now)
        case _:
            assert_never(state)


# One function for each state, in the order of a life.


def _at_rest(state: Stopped | Failed, event: Event) -> Outcome:
    match event:
        case StartWanted():
            return Preparing(1), [Prepare()]
        case _:
            return state, []


def _preparing(state: Preparing, event: Event, now: float, limits: Limits) -> Outcome:
    match event:
        case Prepared():
            deadline = now + limits.startup_seconds
            return Starting(state.attempt, deadline), [Spawn(), WakeAt(deadline)]
        case PrepareFailed(reason, is_final=True):
            return Failed(reason), []
        case PrepareFailed(reason):
            return _back_off(state.attempt, reason, now, limits)
        case StopWanted():
            return Stopped(), [AbandonPrepare()]
        case SleepWanted():
            return Dormant(), [AbandonPrepare()]
        case _:
            return state, []


def _starting(state: Starting, event: Event, now: float, limits: Limits) -> Outcome:
    match event:
        case Answered(models):
            return Ready(state.attempt, now, models), []
        case Woke() if now >= state.deadline:
            reason = f"it gave no answer within {limits.startup_seconds:g} s of its start"
            return Ending(state.attempt, reason), [Kill()]
        case Unfit(reason):
            return Ending(state.attempt, reason, is_final=True), [Kill()]
        case Exited(reason):
            return _back_off(state.attempt, reason, now, limits)
        case StopWanted() | SleepWanted():
            return _leave(_wish(event), now, limits)
        case _:
            return state, []


def _ready(state: Ready, event: Event, now: float, limits: Limits) -> Outcome:
    match event:
        case Answered(models):
            return replace(state, models=models, doubt=None), []
        case Doubted(reason):
            return replace(state, doubt=reason), []
        case Unhealthy(reason):
            return Ending(_still(state, now, limits), reason), [Kill()]
        case Exited(reason):
            return _back_off(_still(state, now, limits), reason, now, limits)
        case StopWanted(seconds) | SleepWanted(seconds):
            end, then = now + seconds, _wish(event)
            return Quieting(state.attempt, state.since, state.models, end, then), [WakeAt(end)]
        case _:
            return state, []


def _quieting(state: Quieting, event: Event, now: float, limits: Limits) -> Outcome:
    match event:
        case StartWanted():
            return Ready(state.attempt, state.since, state.models), []
        case StopWanted(seconds) | SleepWanted(seconds):
            return _sooner(state, event, now + seconds)
        case Quiet():
            return _hushed(state.then, now, limits)
        case Woke() if now >= state.deadline:
            return _hushed(state.then, now, limits)
        case Exited():
            return _gone(state.then)
        case _:
            return state, []


def _falling_asleep(state: FallingAsleep, event: Event, now: float, limits: Limits) -> Outcome:
    match event:
        case Obeyed() if state.then == "serve":
            return _rouse(now, limits)
        case Obeyed():
            return Asleep(), []
        case Disobeyed():
            return _leave(state.then, now, limits)
        case Woke() if now >= state.deadline:
            return Draining(now, state.then), [Kill()]
        case StartWanted():
            return replace(state, then="serve"), []
        case SleepWanted():
            return _sooner(state, event, now + limits.sleep_seconds)
        case StopWanted():
            return _leave("stop", now, limits)
        case Exited():
            return _gone(state.then)
        case _:
            return state, []


def _asleep(state: Asleep, event: Event, now: float, limits: Limits) -> Outcome:
    match event:
        case StartWanted():
            return _rouse(now, limits)
        case StopWanted():
            return _leave("stop", now, limits)
        case Exited():
            return Dormant(), []
        case _:
            return state, []


def _dormant(state: Dormant, event: Event) -> Outcome:
    match event:
        case StartWanted():
            return Preparing(1), [Prepare()]
        case StopWanted():
            return Stopped(), []
        case _:
            return state, []


def _waking(state: Waking, event: Event, now: float, limits: Limits) -> Outcome:
    match event:
        case Obeyed() if state.then == "sleep":
            return _fall_asleep(now, limits)
        case Obeyed():
            return Starting(1, state.deadline), []
        case Disobeyed(reason) if state.then == "serve":
            return Ending(1, f"it did not wake: {reason}"), [Kill()]
        case Disobeyed():
            return _leave(state.then, now, limits)
        case Woke() if now >= state.deadline:
            return Draining(now, state.then), [Kill()]
        case StartWanted():
            return replace(state, then="serve"), []
        case SleepWanted():
            return _sooner(state, event, now + limits.startup_seconds)
        case StopWanted():
            return _leave("stop", now, limits)
        case Exited():
            return _gone(state.then)
        case _:
            return state, []


def _draining(state: Draining, event: Event, now: float, limits: Limits) -> Outcome:
    match event:
        case StartWanted():
            return replace(state, then="serve"), []
        case StopWanted() | SleepWanted():
            return _sooner(state, event, now + limits.drain_seconds)
        case Woke() if now >= state.deadline:
            return state, [Kill()]
        case Exited():
            return _gone(state.then)
        case _:
            return state, []


def _ending(state: Ending, event: Event, now: float, limits: Limits) -> Outcome:
    match event:
        case StopWanted() | SleepWanted():
            return Draining(now, _wish(event)), []
        case Exited() if state.is_final:
            return Failed(state.reason), []
        case Exited():
            return _back_off(state.attempt, state.reason, now, limits)
        case _:
            return state, []


def _backing_off(state: BackingOff, event: Event, now: float) -> Outcome:
    match event:
        case Woke() if now >= state.until:
            return Preparing(state.attempt + 1), [Prepare()]
        case StopWanted():
            return Stopped(), []
        case SleepWanted():
            return Dormant(), []
        case _:
            return state, []


# What several states have in common.


def _wish(event: StopWanted | SleepWanted) -> Wish:
    return "stop" if isinstance(event, StopWanted) else "sleep"


def _sooner(
    state: Quieting | FallingAsleep | Waking | Draining,
    event: StopWanted | SleepWanted,
    end: float,
) -> Outcome:
    """A second wish never gives more time than the first."""
    end = min(state.deadline, end)
    return replace(state, deadline=end, then=_wish(event)), [WakeAt(end)]


def _hushed(then: Wish, now: float, limits: Limits) -> Outcome:
    """Nothing is under way any more, or its time is up."""
    if then == "sleep" and limits.can_sleep:
        return _fall_asleep(now, limits)
    return _leave(then, now, limits)


def _fall_asleep(now: float, limits: Limits) -> Outcome:
    deadline = now + limits.sleep_seconds
    return FallingAsleep(deadline), [CutRequests(), Sleep(), WakeAt(deadline)]


def _rouse(now: float, limits: Limits) -> Outcome:
    deadline = now + limits.startup_seconds
    return Waking(deadline), [Rouse(), WakeAt(deadline)]


def _leave(then: Wish, now: float, limits: Limits) -> Outcome:
    """An engine may swallow the order while it starts, so there is always a time to kill it."""
    deadline = now + limits.drain_seconds
    return Draining(deadline, then), [CutRequests(), Terminate(), WakeAt(deadline)]


def _gone(then: Wish) -> Outcome:
    if then == "serve":
        return Preparing(1), [Prepare()]
    return (Dormant(), []) if then == "sleep" else (Stopped(), [])


def _still(state: Ready, now: float, limits: Limits) -> int:
    """The attempt that counts: one that served for long enough is a first one again."""
    return 1 if now - state.since >= limits.stable_seconds else state.attempt


def _back_off(attempt: int, reason: str, now: float, limits: Limits) -> Outcome:
    doublings = min(attempt - 1, 30)  # far beyond any limit, and no float runs over
    wait = min(limits.first_back_off_seconds * 2**doublings, limits.last_back_off_seconds)
    return BackingOff(attempt, now + wait, reason), [WakeAt(now + wait)]
