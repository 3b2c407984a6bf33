"""When to dial, when to wait and for how long, when to give up: the link's decisions.

Back-off is full-jitter exponential (a wait is drawn from 0 up to a bound that doubles); it starts
over only after a link has been up for longer than the last wait, and a console's own hint wins.
While answers wait for the link to resume, the bound stays at its base: they have only the grace.
The caller passes the time and, where an event may start a wait, a number from [0, 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, assert_never

StopCode = Literal["replaced", "revoked", "reauth", "upgrade_required", "wanted"]


@dataclass(frozen=True)
class Limits:
    """Bounds of the waits, in seconds."""

    base_seconds: float = 1.0
    cap_seconds: float = 60.0


@dataclass(frozen=True)
class Retries:
    """How often the link failed without having been useful in between, and how long it waited."""

    count: int = 0
    last_wait_seconds: float = 0.0


FIRST_TRY: Final = Retries()

# States


@dataclass(frozen=True)
class Idle:
    """Not started."""


@dataclass(frozen=True)
class Dialling:
    """A dial or a handshake is under way."""

    retries: Retries
    resume_until: float | None = None


@dataclass(frozen=True)
class Online:
    """The console has said welcome."""

    since: float
    retries: Retries
    grace_seconds: float
    reconnect_in_seconds: float | None = None


@dataclass(frozen=True)
class Waiting:
    """No link; the next dial is due at `until`."""

    until: float
    retries: Retries
    resume_until: float | None = None


@dataclass(frozen=True)
class Stopped:
    """No link, and no more tries."""

    code: StopCode
    message: str


State = Idle | Dialling | Online | Waiting | Stopped

# Events


@dataclass(frozen=True)
class StartWanted:
    """Have a link from now on."""


@dataclass(frozen=True)
class Welcomed:
    """The handshake is done."""

    grace_seconds: float


@dataclass(frozen=True)
class Failed:
    """The dial, the handshake or the link itself came to an end; `answers` wait to go on."""

    dice: float
    retry_after_seconds: float | None = None
    answers: int = 0


@dataclass(frozen=True)
class GoneAway:
    """The console asked us to leave and said when to come back."""

    reconnect_in_seconds: float


@dataclass(frozen=True)
class Rejected:
    """The console said no for good."""

    code: StopCode
    message: str


@dataclass(frozen=True)
class RouteChanged:
    """The machine woke up or its network changed: waiting makes no sense any more."""


@dataclass(frozen=True)
class KeyChanged:
    """The node has another key from now on: the next link shall be proven with that one."""


@dataclass(frozen=True)
class Woke:
    """A moment asked for with `WakeAt` has come."""


Event = StartWanted | Welcomed | Failed | GoneAway | Rejected | RouteChanged | KeyChanged | Woke

# Commands


@dataclass(frozen=True)
class Dial:
    """Open a link; its end comes back as `Failed` or `Rejected`."""


@dataclass(frozen=True)
class Drop:
    """Close the link that stands, and why: the next one is dialled at once."""

    reason: str


@dataclass(frozen=True)
class WakeAt:
    """Send `Woke` at this time."""

    at: float


@dataclass(frozen=True)
class Abandon:
    """The console has given the streams up by now: cancel what still runs for them."""


@dataclass(frozen=True)
class Stop:
    """Leave, and tell the owner why."""

    code: StopCode
    message: str


Command = Dial | Drop | WakeAt | Abandon | Stop


def step(state: State, event: Event, now: float, limits: Limits) -> tuple[State, list[Command]]:
    """Decide what follows; `now` is monotonic seconds. Pairs not listed are not news."""
    match state, event:
        case Stopped(), _:
            return state, []
        case _, Rejected(code, message):
            return Stopped(code, message), [Abandon(), Stop(code, message)]
        case Idle(), StartWanted():
            return Dialling(FIRST_TRY), [Dial()]
        case Dialling(retries), Welcomed(grace):
            return Online(now, retries, grace), []
        case Dialling(retries, resume_until), Failed():
            return _wait(retries, event, resume_until, now, limits)
        case Dialling(retries, resume_until), Woke() if _is_over(resume_until, now):
            return Dialling(retries), [Abandon()]
        case Waiting(until, retries, resume_until), Woke():
            return _woke(state, until, retries, resume_until, now)
        case Waiting(_, retries, resume_until), RouteChanged():
            return Dialling(retries, resume_until), [Dial()]
        case Online(since, retries, grace), GoneAway(seconds):
            return Online(since, retries, grace, seconds), []
        case Online(since, retries, grace), RouteChanged():
            return Online(since, retries, grace, 0.0), [Drop("the network changed")]
        case Online(since, retries, grace), KeyChanged():
            return Online(since, retries, grace, 0.0), [Drop("the node's key changed")]
        case Online(), Failed():
            return _lost(state, event, now, limits)
        case _:
            return state, []


def _lost(state: Online, event: Failed, now: float, limits: Limits) -> tuple[State, list[Command]]:
    lasted = now - state.since
    retries = FIRST_TRY if lasted > state.retries.last_wait_seconds else state.retries
    resume_until = now + state.grace_seconds
    grace = WakeAt(resume_until)
    hint = state.reconnect_in_seconds
    if hint == 0 and lasted >= limits.base_seconds:
        return Dialling(retries, resume_until), [grace, Dial()]
    if hint:
        until = now + hint
        return Waiting(until, retries, resume_until), [grace, WakeAt(until)]
    # No hint, or told "at once" by a link that did not last: no reason to spin.
    waiting, commands = _wait(retries, event, resume_until, now, limits)
    return waiting, [grace, *commands]


def _wait(
    retries: Retries,
    event: Failed,
    resume_until: float | None,
    now: float,
    limits: Limits,
) -> tuple[State, list[Command]]:
    is_urgent = event.answers > 0 and resume_until is not None
    doublings = 0 if is_urgent else min(retries.count, 30)
    hint = event.retry_after_seconds
    if hint is None:
        wait = event.dice * min(limits.cap_seconds, limits.base_seconds * 2.0**doublings)
    else:  # everybody else was given it too: a little jitter keeps them apart
        wait = hint * (1 + event.dice / 10)
    following = Retries(retries.count + 1, wait)
    return Waiting(now + wait, following, resume_until), [WakeAt(now + wait)]


def _woke(
    state: Waiting, until: float, retries: Retries, resume_until: float | None, now: float
) -> tuple[State, list[Command]]:
    commands: list[Command] = []
    if _is_over(resume_until, now):
        resume_until = None
        commands.append(Abandon())
    if now >= until:
        return Dialling(retries, resume_until), [*commands, Dial()]
    if commands:
        return Waiting(until, retries), commands
    return state, []


def _is_over(resume_until: float | None, now: float) -> bool:
    return resume_until is not None and now >= resume_until


def exit_code(code: StopCode) -> int:
    """The process's exit code (sysexits): 78 where only the owner can mend it."""
    match code:
        case "replaced" | "revoked" | "reauth" | "upgrade_required":
            return 78
        case "wanted":
            return 0
        case _:
            assert_never(code)
