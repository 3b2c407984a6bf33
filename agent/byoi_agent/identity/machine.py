"""When to ask the console whether a person has approved the code: the device flow's decisions.

RFC 8628, section 3.5: never more often than the interval, five seconds slower for good upon
`slow_down`, and slower still, each time twice as long, while the console cannot be reached. The
caller passes the time, in monotonic seconds, and a number from [0, 1) where a wait may start.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Outcome = Literal["admitted", "denied", "expired", "refused"]

SLOW_DOWN_SECONDS: Final = 5.0
CAP_SECONDS: Final = 60.0
INTERVAL_RANGE: Final = (1.0, 60.0)
LIFETIME_RANGE: Final = (1.0, 3600.0)
"""What a console may ask for, in seconds: a node shall neither spin nor wait for ever."""

# States


@dataclass(frozen=True)
class Idle:
    """There is no code yet."""


@dataclass(frozen=True)
class Waiting:
    """The next question is due at `until`."""

    until: float
    interval_seconds: float
    expires_at: float
    failures: int = 0


@dataclass(frozen=True)
class Asking:
    """A question is under way."""

    interval_seconds: float
    expires_at: float
    failures: int


@dataclass(frozen=True)
class Ended:
    """It is decided."""

    outcome: Outcome


State = Idle | Waiting | Asking | Ended

# Events


@dataclass(frozen=True)
class CodeGiven:
    """The console gave a code and said how often it may be asked about it, and for how long."""

    interval_seconds: float
    lifetime_seconds: float


@dataclass(frozen=True)
class StillPending:
    """Nobody has decided yet."""


@dataclass(frozen=True)
class ToldToSlowDown:
    """The console was asked too often."""


@dataclass(frozen=True)
class NotReached:
    """No answer, or one that says nothing of the code."""

    dice: float
    retry_after_seconds: float | None = None


@dataclass(frozen=True)
class Decided:
    """The console's last word."""

    outcome: Outcome


@dataclass(frozen=True)
class Woke:
    """A moment asked for with `WakeAt` has come."""


Event = CodeGiven | StillPending | ToldToSlowDown | NotReached | Decided | Woke

# Commands


@dataclass(frozen=True)
class Ask:
    """Ask the console once; the answer comes back as an event."""


@dataclass(frozen=True)
class WakeAt:
    """Send `Woke` at this time."""

    at: float


@dataclass(frozen=True)
class End:
    """Leave; nothing more will come."""

    outcome: Outcome


Command = Ask | WakeAt | End


def step(state: State, event: Event, now: float) -> tuple[State, list[Command]]:
    """Decide what follows; pairs not listed are not news."""
    match state, event:
        case Idle(), CodeGiven(interval, lifetime):
            wait = _within(interval, INTERVAL_RANGE)
            return _wait(wait, wait, now + _within(lifetime, LIFETIME_RANGE), 0, now)
        case Waiting(_, _, expires_at), Woke() if now >= expires_at:
            return Ended("expired"), [End("expired")]
        case Waiting(until, interval, expires_at, failures), Woke() if now >= until:
            return Asking(interval, expires_at, failures), [Ask()]
        case Asking(interval, expires_at), StillPending():
            return _wait(interval, interval, expires_at, 0, now)
        case Asking(interval, expires_at), ToldToSlowDown():
            slower = interval + SLOW_DOWN_SECONDS
            return _wait(slower, slower, expires_at, 0, now)
        case Asking(interval, expires_at, failures), NotReached(dice, hint):
            wait = _back_off(interval, failures, dice, hint)
            return _wait(wait, interval, expires_at, failures + 1, now)
        case Asking(), Decided(outcome):
            return Ended(outcome), [End(outcome)]
        case _:
            return state, []


def _wait(
    seconds: float, interval: float, expires_at: float, failures: int, now: float
) -> tuple[State, list[Command]]:
    until = min(now + seconds, expires_at)
    return Waiting(until, interval, expires_at, failures), [WakeAt(until)]


def _back_off(interval: float, failures: int, dice: float, hint: float | None) -> float:
    """Never sooner than the interval; up to a tenth more, so that many do not come at once."""
    doubled = min(interval * 2.0 ** min(failures + 1, 10), max(CAP_SECONDS, interval))
    return max(interval, doubled if hint is None else hint) * (1 + dice / 10)


def _within(value: float, bounds: tuple[float, float]) -> float:
    low, high = bounds
    return min(max(value, low), high)
