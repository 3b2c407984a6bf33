"""Decides an engine's life: when it is prepared, started, ended, and how long to wait in between.

An engine of somebody else's has the same life; what is started for it is a session of requests, and
ending it touches nobody's process.

Restarts never run out: a provider installs once and forgets, so whatever time may mend (memory, a
driver, a server that comes back) is tried again after 1, 2, 4 … 300 seconds, its cause shown the
while. `Failed` is kept for what only the owner can mend (a wrong hash, an unknown model).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from byoi_agent.engine.view import ServedModel


@dataclass(frozen=True)
class Limits:
    """Times in seconds.

    `startup`: from the process's start to its first answer. `drain`: from asking it to leave to
    killing it. `stable`: how long it must serve for its earlier failures to be forgotten.
    """

    startup_seconds: float = 30.0
    drain_seconds: float = 10.0
    stable_seconds: float = 600.0
    first_back_off_seconds: float = 1.0
    last_back_off_seconds: float = 300.0


# States. A process (or session) exists exactly in Starting, Ready, Draining and Ending.


@dataclass(frozen=True)
class Stopped:
    """Nobody wants it to run."""


@dataclass(frozen=True)
class Preparing:
    """What it needs is being fetched; `attempt` counts from 1 since it last served for long."""

    attempt: int


@dataclass(frozen=True)
class Starting:
    """It has been started and must answer by `deadline`."""

    attempt: int
    deadline: float


@dataclass(frozen=True)
class Ready:
    """It has answered; serving since `since`."""

    attempt: int
    since: float
    models: tuple[ServedModel, ...]


@dataclass(frozen=True)
class Draining:
    """It was asked to leave, and is killed at `deadline`; `then_start` if it was wanted again."""

    deadline: float
    then_start: bool = False


@dataclass(frozen=True)
class Ending:
    """It is being killed because of `reason`."""

    attempt: int
    reason: str


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


State = Stopped | Preparing | Starting | Ready | Draining | Ending | BackingOff | Failed

# Events: what has happened.


@dataclass(frozen=True)
class StartWanted:
    """It shall serve."""


@dataclass(frozen=True)
class StopWanted:
    """It shall not serve."""


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
class Unhealthy:
    """It runs and does not answer."""

    reason: str


@dataclass(frozen=True)
class Exited:
    """Nothing of it runs any more."""

    reason: str


@dataclass(frozen=True)
class Woke:
    """A time asked for by `WakeAt` may have come."""


Event = StartWanted | StopWanted | Prepared | PrepareFailed | Answered | Unhealthy | Exited | Woke

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
class Terminate:
    """Ask it to leave."""


@dataclass(frozen=True)
class Kill:
    """End it now, with all that it started."""


@dataclass(frozen=True)
class WakeAt:
    """Send Woke at this time; replaces an earlier one."""

    at: float


Command = Prepare | AbandonPrepare | Spawn | Terminate | Kill | WakeAt


def step(state: State, event: Event, now: float, limits: Limits) -> tuple[State, list[Command]]:
    """Decide what the engine becomes and what must be done about it.

    `now` is monotonic seconds. Outcomes of commands come back as events. Pairs that are not listed
    are not news.
    """
    match state, event:
        case Stopped() | Failed(), StartWanted():
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
        case Starting(attempt), Answered(models):
            return Ready(attempt, now, models), []
        case Starting(attempt, deadline), Woke() if now >= deadline:
            reason = f"it gave no answer within {limits.startup_seconds:g} s of its start"
            return Ending(attempt, reason), [Kill()]
        case Starting(attempt), Exited(reason):
            return _back_off(attempt, reason, now, limits)
        case Ready(), Answered(models):
            return replace(state, models=models), []
        case Ready(attempt, since), Unhealthy(reason):
            return Ending(_still(attempt, now - since, limits), reason), [Kill()]
        case Ready(attempt, since), Exited(reason):
            return _back_off(_still(attempt, now - since, limits), reason, now, limits)
        case Starting() | Ready(), StopWanted():
            deadline = now + limits.drain_seconds
            return Draining(deadline), [Terminate(), WakeAt(deadline)]
        case Draining(), StartWanted() | StopWanted():
            return replace(state, then_start=isinstance(event, StartWanted)), []
        case Draining(deadline), Woke() if now >= deadline:
            return state, [Kill()]
        case Draining(then_start=then_start), Exited():
            return (Preparing(1), [Prepare()]) if then_start else (Stopped(), [])
        case Ending(), StopWanted():
            return Draining(now), []
        case Ending(attempt, reason), Exited():
            return _back_off(attempt, reason, now, limits)
        case BackingOff(attempt, until), Woke() if now >= until:
            return Preparing(attempt + 1), [Prepare()]
        case BackingOff(), StopWanted():
            return Stopped(), []
        case _:
            return state, []


def _still(attempt: int, served_seconds: float, limits: Limits) -> int:
    """The attempt that counts: one that served for long enough is a first one again."""
    return 1 if served_seconds >= limits.stable_seconds else attempt


def _back_off(attempt: int, reason: str, now: float, limits: Limits) -> tuple[State, list[Command]]:
    doublings = min(attempt - 1, 30)  # far beyond any limit, and no float runs over
    wait = min(limits.first_back_off_seconds * 2**doublings, limits.last_back_off_seconds)
    return BackingOff(attempt, now + wait, reason), [WakeAt(now + wait)]
