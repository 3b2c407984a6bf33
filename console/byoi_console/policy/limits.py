"""A token bucket: `limit` requests a minute, spent one by one, refilled evenly. Pure arithmetic."""

from __future__ import annotations

from typing import Final, NamedTuple

MINUTE_SECONDS: Final = 60.0


class Bucket(NamedTuple):
    """What was left at a moment (monotonic seconds)."""

    left: float
    at: float


class Allowed(NamedTuple):
    """One request was taken from the bucket."""

    bucket: Bucket
    remaining: int
    reset_seconds: float
    """When the bucket is full again."""


class Refused(NamedTuple):
    """The bucket holds less than one request."""

    retry_after_seconds: float
    reset_seconds: float


def take(state: Bucket | None, now: float, limit: int) -> Allowed | Refused:
    """Take one request at `now`, of `limit` per minute; None is a bucket never used: full.

    A clock that stands still or a limit that was lowered does no harm.
    """
    left = _refilled(state, now, limit)
    if left < 1.0:
        rate = limit / MINUTE_SECONDS
        wait = (1.0 - left) / rate if rate else MINUTE_SECONDS
        return Refused(wait, (limit - left) / rate if rate else MINUTE_SECONDS)
    left -= 1.0
    reset = (limit - left) * MINUTE_SECONDS / limit
    return Allowed(Bucket(left, now), int(left), reset)


def _refilled(state: Bucket | None, now: float, limit: int) -> float:
    if state is None:
        return float(limit)
    refill = max(0.0, now - state.at) * limit / MINUTE_SECONDS
    return min(float(limit), state.left + refill)
