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

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from byoi_agent.engine.view import ServedModel

Wish = Literal["serve", "sleep", "stop"]
"""What the owner wants to come of an engine that is on its way elsewhere."""


@dataclass(frozen=True)
class Limits:
    """What its kind needs, times in seconds; less where its owner is in a hurry.

    `drain`: from asking it to leave to killing it. `stable`: how long it must serve for its earlier
    failures to be forgotten. `can_sleep`: whether its process may stay without its memory.
    """

    startup_seconds: float = 30.0
    drain_seconds: float = 10.0
    sleep_seconds: float = 30.0
    can_sleep: bool = False
    stable_seconds: float = 600.0
    first_back_off_seconds: float = 1.0
    last_back_off_seconds: float = 300.0


# States. A process (or session) exists in all but Stopped, Preparing, BackingOff, Dormant, Failed.


@dataclass(frozen=True)
class Stopped:
    """Nobody wants it to run."""


@dataclass(frozen=True)
class Preparing:
    """What it needs is being fetched; `attempt` counts from 1 since it last served for long."""

    attempt: int


@dataclass(frozen=True)
class Starting:
    """It has been started, or woken, and must answer by `deadline`."""

    attempt: int
    deadline: float


@dataclass(frozen=True)
class Ready:
    """It has answered, serving since `since`; `doubt` says why it gets no new requests just now."""

    attempt: int
    since: float
    models: tuple[ServedModel, ...]
    doubt: str | None = None


@dataclass(frozen=True)
class Quieting:
    """It gets no new requests; those under way may end until `deadline`, `then` it is ended."""

    attempt: int
    since: float
    models: tuple[ServedModel, ...]
    deadline: float
    then: Wish


@dataclass(frozen=True)
class FallingAsleep:
    """It was told to sleep and must have obeyed by `deadline`; `then` what is wanted since."""

    deadline: float
    then: Wish = "sleep"


@dataclass(frozen=True)
class Asleep:
    """It runs and holds no memory of the accelerator."""


@dataclass(frozen=True)
class Dormant:
    """It is asleep without a process; waking it is a start."""


@dataclass(frozen=True)
class Waking:
    """It was told to wake and must answer by `deadline`; `then` what is wanted since."""

    deadline: float
    then: Wish = "serve"


@dataclass(frozen=True)
class Draining:
    """It was asked to leave, and is killed at `deadline`; `then` what is wanted once it is gone."""

    deadline: float
    then: Wish = "stop"


@dataclass(frozen=True)
class Ending:
    """It is being killed because of `reason`; `is_final` if only the owner can mend that."""

    attempt: int
    reason: str
    is_final: bool = False


@dataclass(frozen=True)
class BackingOff:
    """The next attempt comes at `until`."""

    attempt: int
    until: float
    reason: str


@dataclass(frozen=True)
class Failed:
    """Only the owner can mend it."""

    reason: str


State = (
    Stopped | Preparing | Starting | Ready | Quieting | FallingAsleep | Asleep | Dormant | Waking |
    Draining | Ending | BackingOff | Failed
)  # fmt: skip

# Events: what has happened.


@dataclass(frozen=True)
class StartWanted:
    """It shall serve, from wherever it is; awake if it sleeps."""


@dataclass(frozen=True)
class StopWanted:
    """It shall not serve; requests under way have `within_seconds` to end."""

    within_seconds: float = 30.0


@dataclass(frozen=True)
class SleepWanted:
    """It shall give its memory back and be ready to wake; requests under way have so long."""

    within_seconds: float = 30.0


@dataclass(frozen=True)
class Prepared:
    """All that it needs is here."""


@dataclass(frozen=True)
class PrepareFailed:
    """What it needs is not here; `is_final` if trying again cannot help."""

    reason: str
    is_final: bool


@dataclass(frozen=True)
class Answered:
    """It serves these models: health, list of models and a one-token answer were all good."""

    models: tuple[ServedModel, ...]


@dataclass(frozen=True)
class Doubted:
    """A first sign that it may not serve: it gets nothing new until that is known."""

    reason: str


@dataclass(frozen=True)
class Unhealthy:
    """It runs and does not answer."""

    reason: str


@dataclass(frozen=True)
class Unfit:
    """It must not run as it is, and only the owner can mend that."""

    reason: str


@dataclass(frozen=True)
class Quiet:
    """No request of ours is under way at it."""


@dataclass(frozen=True)
class Obeyed:
    """It sleeps, or is awake, as it was told; awake does not say that it answers."""


@dataclass(frozen=True)
class Disobeyed:
    """It neither slept nor woke when told to."""

    reason: str


@dataclass(frozen=True)
class Exited:
    """Nothing of it runs any more."""

    reason: str


@dataclass(frozen=True)
class Woke:
    """A time asked for by `WakeAt` may have come."""


Event = (
    StartWanted | StopWanted | SleepWanted | Prepared | PrepareFailed | Answered | Doubted |
    Unhealthy | Unfit | Quiet | Obeyed | Disobeyed | Exited | Woke
)  # fmt: skip

# Commands: what the supervisor must do.


@dataclass(frozen=True)
class Prepare:
    """Fetch what it needs; ends in Prepared or PrepareFailed."""


@dataclass(frozen=True)
class AbandonPrepare:
    """Stop fetching; no event follows."""


@dataclass(frozen=True)
class Spawn:
    """Start it; ends in Exited, whatever happens."""


@dataclass(frozen=True)
class CutRequests:
    """End what is still under way at it; nothing of it may reach an engine that sleeps."""


@dataclass(frozen=True)
class Sleep:
    """Tell it to sleep; ends in Obeyed or Disobeyed, unless its state is left before."""


@dataclass(frozen=True)
class Rouse:
    """Tell it to wake; ends in Obeyed or Disobeyed, unless its state is left before."""


@dataclass(frozen=True)
class Terminate:
    """Ask it to leave."""


@dataclass(frozen=True)
class Kill:
    """End it now, with all that it started."""


@dataclass(frozen=True)
class WakeAt:
    """Send Woke at this time; replaces an earlier one."""

    at: float


Command = Prepare | AbandonPrepare | Spawn | CutRequests | Sleep | Rouse | Terminate | Kill | WakeAt


def step(state: State, event: Event, now: float, limits: Limits) -> tuple[State, list[Command]]:
    """Decide what the engine becomes and what must be done about it.

    `now` is monotonic seconds. What commands come to are events. Pairs not listed are not news.
    """
    match state, event:
        case Stopped() | Failed() | Dormant(), StartWanted():
            return Preparing(1), [Prepare()]
        case Preparing(attempt), Prepared():
            deadline = now + limits.startup_seconds
            return Starting(attempt, deadline), [Spawn(), WakeAt(deadline)]
        case Preparing(), PrepareFailed(reason, is_final=True):
            return Failed(reason), []
        case Preparing(attempt), PrepareFailed(reason):
            return _back_off(attempt, reason, now, limits)
        case Preparing(), StopWanted():
            return Stopped(), [AbandonPrepare()]
        case Preparing(), SleepWanted():
            return Dormant(), [AbandonPrepare()]
        case Starting(attempt), Answered(models):
            return Ready(attempt, now, models), []
        case Starting(attempt, deadline), Woke() if now >= deadline:
            reason = f"it gave no answer within {limits.startup_seconds:g} s of its start"
            return Ending(attempt, reason), [Kill()]
        case Starting(attempt), Unfit(reason):
            return Ending(attempt, reason, is_final=True), [Kill()]
        case Starting(attempt), Exited(reason):
            return _back_off(attempt, reason, now, limits)
        case Starting(), StopWanted() | SleepWanted():
            return _leave(_wish(event), now, limits)
        case Ready(), Answered(models):
            return replace(state, models=models, doubt=None), []
        case Ready(), Doubted(reason):
            return replace(state, doubt=reason), []
        case Ready(attempt, since), Unhealthy(reason):
            return Ending(_still(attempt, now - since, limits), reason), [Kill()]
        case Ready(attempt, since), Exited(reason):
            return _back_off(_still(attempt, now - since, limits), reason, now, limits)
        case Ready(attempt, since, models), StopWanted(seconds) | SleepWanted(seconds):
            end = now + seconds
            return Quieting(attempt, since, models, end, _wish(event)), [WakeAt(end)]
        case Quieting(attempt, since, models), StartWanted():
            return Ready(attempt, since, models), []
        case Quieting(deadline=deadline), StopWanted(seconds) | SleepWanted(seconds):
            end = min(deadline, now + seconds)
            return replace(state, deadline=end, then=_wish(event)), [WakeAt(end)]
        case Quieting(then=then), Quiet():
            return _hushed(then, now, limits)
        case Quieting(deadline=deadline, then=then), Woke() if now >= deadline:
            return _hushed(then, now, limits)
        case FallingAsleep(then="serve"), Obeyed():
            return _rouse(now, limits)
        case FallingAsleep(), Obeyed():
            return Asleep(), []
        case Waking(then="serve"), Disobeyed(reason):
            return Ending(1, f"it did not wake: {reason}"), [Kill()]
        case FallingAsleep(then=then) | Waking(then=then), Disobeyed():
            return _leave(then, now, limits)
        case Asleep(), StartWanted():
            return _rouse(now, limits)
        case Asleep(), Exited():
            return Dormant(), []
        case FallingAsleep() | Asleep() | Waking(), StopWanted():
            return _leave("stop", now, limits)
        case Waking(then="sleep"), Obeyed():
            return _fall_asleep(now, limits)
        case Waking(deadline), Obeyed():
            return Starting(1, deadline), []
        case FallingAsleep(deadline, then) | Waking(deadline, then), Woke() if now >= deadline:
            return Draining(now, then), [Kill()]
        case FallingAsleep() | Waking() | Draining(), StartWanted():
            return replace(state, then="serve"), []
        case FallingAsleep(), SleepWanted():
            return _sooner(state, event, now + limits.sleep_seconds)
        case Waking(), SleepWanted():
            return _sooner(state, event, now + limits.startup_seconds)
        case Draining(), StopWanted() | SleepWanted():
            return _sooner(state, event, now + limits.drain_seconds)
        case Draining(deadline), Woke() if now >= deadline:
            return state, [Kill()]
        case Quieting(then=then) | FallingAsleep(then=then), Exited():
            return _gone(then)
        case Waking(then=then) | Draining(then=then), Exited():
            return _gone(then)
        case Ending(), StopWanted() | SleepWanted():
            return Draining(now, _wish(event)), []
        case Ending(_, reason, is_final=True), Exited():
            return Failed(reason), []
        case Ending(attempt, reason), Exited():
            return _back_off(attempt, reason, now, limits)
        case BackingOff(attempt, until), Woke() if now >= until:
            return Preparing(attempt + 1), [Prepare()]
        case BackingOff() | Dormant(), StopWanted():
            return Stopped(), []
        case BackingOff(), SleepWanted():
            return Dormant(), []
        case _:
            return state, []


def _wish(event: StopWanted | SleepWanted) -> Wish:
    return "stop" if isinstance(event, StopWanted) else "sleep"


def _sooner(
    state: FallingAsleep | Waking | Draining, event: StopWanted | SleepWanted, end: float
) -> tuple[State, list[Command]]:
    end = min(state.deadline, end)
    return replace(state, deadline=end, then=_wish(event)), [WakeAt(end)]


def _hushed(then: Wish, now: float, limits: Limits) -> tuple[State, list[Command]]:
    """Nothing is under way any more, or its time is up."""
    if then == "sleep" and limits.can_sleep:
        return _fall_asleep(now, limits)
    return _leave(then, now, limits)


def _fall_asleep(now: float, limits: Limits) -> tuple[State, list[Command]]:
    deadline = now + limits.sleep_seconds
    return FallingAsleep(deadline), [CutRequests(), Sleep(), WakeAt(deadline)]


def _rouse(now: float, limits: Limits) -> tuple[State, list[Command]]:
    deadline = now + limits.startup_seconds
    return Waking(deadline), [Rouse(), WakeAt(deadline)]


def _leave(then: Wish, now: float, limits: Limits) -> tuple[State, list[Command]]:
    """An engine may swallow the order while it starts, so there is always a time to kill it."""
    deadline = now + limits.drain_seconds
    return Draining(deadline, then), [CutRequests(), Terminate(), WakeAt(deadline)]


def _gone(then: Wish) -> tuple[State, list[Command]]:
    if then == "serve":
        return Preparing(1), [Prepare()]
    return (Dormant(), []) if then == "sleep" else (Stopped(), [])


def _still(attempt: int, served_seconds: float, limits: Limits) -> int:
    """The attempt that counts: one that served for long enough is a first one again."""
    return 1 if served_seconds >= limits.stable_seconds else attempt


def _back_off(attempt: int, reason: str, now: float, limits: Limits) -> tuple[State, list[Command]]:
    doublings = min(attempt - 1, 30)  # far beyond any limit, and no float runs over
    wait = min(limits.first_back_off_seconds * 2**doublings, limits.last_back_off_seconds)
    return BackingOff(attempt, now + wait, reason), [WakeAt(now + wait)]
