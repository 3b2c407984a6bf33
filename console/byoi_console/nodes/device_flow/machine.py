"""What becomes of a device code: polled by a machine, decided by a person, over in time. Pure.

    pending ── approved by a person ──► approved ── polled ──► used ── polled again ──► used
       └────── denied by a person ────► denied

Whatever its state, a code ends when its time is over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

State = Literal["pending", "approved", "denied", "used"]
Refusal = Literal["authorization_pending", "slow_down", "access_denied", "expired_token"]

LIFETIME_SECONDS: Final = 900
INTERVAL_SECONDS: Final = 5
SLOWER_BY_SECONDS: Final = 5
"""RFC 8628 section 3.5: each `slow_down` adds so much to the interval, on both sides."""

SLOWEST_SECONDS: Final = 60
"""We ask no machine to wait longer than this, however often it came too early."""

EARLY_MS: Final = 500
"""So much too early is the network's doing, not the machine's."""


@dataclass(frozen=True)
class Code:
    """A device code as it is kept; times are Unix milliseconds on the console's clock."""

    state: State
    expires_at_ms: int
    interval_seconds: int = INTERVAL_SECONDS
    polled_at_ms: int | None = None

    def is_over(self, now_ms: int) -> bool:
        """Its time has passed."""
        return now_ms >= self.expires_at_ms


@dataclass(frozen=True)
class Told:
    """The machine gets RFC 8628's word, and may poll again after the interval."""

    refusal: Refusal
    interval_seconds: int


@dataclass(frozen=True)
class Take:
    """The machine becomes a node now; whoever carries it out makes the code `used`."""


@dataclass(frozen=True)
class Repeat:
    """It is a node already, and its answer was lost: it gets the same one."""


def poll(code: Code, now_ms: int) -> Told | Take | Repeat:
    """What a machine that asks now is told.

    Only waiting can be done too fast: once a person has decided, the machine hears it at once.
    """
    if code.is_over(now_ms):
        return Told("expired_token", code.interval_seconds)
    match code.state:
        case "approved":
            return Take()
        case "used":
            return Repeat()
        case "denied":
            return Told("access_denied", code.interval_seconds)
        case _:
            return _wait(code, now_ms)


def decision_on(code: Code, now_ms: int) -> Literal["open", "decided", "over"]:
    """Whether a person may still approve or deny it."""
    if code.is_over(now_ms):
        return "over"
    return "open" if code.state == "pending" else "decided"


def _wait(code: Code, now_ms: int) -> Told:
    interval = code.interval_seconds
    due_ms = (code.polled_at_ms or 0) + interval * 1000
    if now_ms + EARLY_MS >= due_ms:
        return Told("authorization_pending", interval)
    return Told("slow_down", min(interval + SLOWER_BY_SECONDS, SLOWEST_SECONDS))
