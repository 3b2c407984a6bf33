"""Holds each key to its limits, and says in OpenAI's headers how far it has come."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from byoi_console.errors import LimitExceeded
from byoi_console.policy.limits import MINUTE_SECONDS, Bucket, Refused, take

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from byoi_console.accounts.principal import Principal

_CONCURRENT_RETRY_SECONDS: Final = 1.0
_BUCKETS: Final = 10_000


class Admission:
    """One admitted request; `release` it exactly when it is over (again does no harm)."""

    def __init__(self, headers: Mapping[str, str], release: Callable[[], None] | None) -> None:
        self.headers = headers
        self._release = release

    def release(self) -> None:
        """Give the place back."""
        release, self._release = self._release, None
        if release is not None:
            release()


class Enforcement:
    """Sole owner of what each key has used of its limits. Counts are this process's own."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._buckets: dict[str, Bucket] = {}
        self._running: dict[str, int] = {}

    def admit(self, principal: Principal) -> Admission:
        """Take a place for one request of this key.

        Raises:
            LimitExceeded: the key has no place, or no request left this minute.
        """
        key_id = principal.key_id
        if principal.max_concurrent is not None:
            self._check_concurrency(key_id, principal.max_concurrent)
        headers = self._take(key_id, principal.requests_per_minute)
        if principal.max_concurrent is None:
            return Admission(headers, None)
        self._running[key_id] = self._running.get(key_id, 0) + 1
        return Admission(headers, lambda: self._leave(key_id))

    def _check_concurrency(self, key_id: str, limit: int) -> None:
        if self._running.get(key_id, 0) >= limit:
            raise LimitExceeded(
                "max_concurrent",
                f"This key may have {_requests(limit)} running at a time.",
                _CONCURRENT_RETRY_SECONDS,
                {},
            )

    def _take(self, key_id: str, limit: int | None) -> dict[str, str]:
        if limit is None:
            return {}
        taken = take(self._buckets.get(key_id), self._monotonic(), limit)
        if isinstance(taken, Refused):
            raise LimitExceeded(
                "requests_per_minute",
                f"Rate limit reached: this key may make {_requests(limit)} per minute.",
                taken.retry_after_seconds,
                _headers(limit, 0, taken.reset_seconds),
            )
        if len(self._buckets) >= _BUCKETS and key_id not in self._buckets:
            self._forget_full_ones()
        self._buckets[key_id] = taken.bucket
        return _headers(limit, taken.remaining, taken.reset_seconds)

    def _forget_full_ones(self) -> None:
        # After a minute any bucket is full again, which is the same as never used.
        oldest = self._monotonic() - MINUTE_SECONDS
        self._buckets = {key: bucket for key, bucket in self._buckets.items() if bucket.at > oldest}

    def _leave(self, key_id: str) -> None:
        left = self._running[key_id] - 1
        if left:
            self._running[key_id] = left
        else:
            del self._running[key_id]


def _requests(count: int) -> str:
    return "1 request" if count == 1 else f"{count} requests"


def _headers(limit: int, remaining: int, reset_seconds: float) -> dict[str, str]:
    return {
        "x-ratelimit-limit-requests": str(limit),
        "x-ratelimit-remaining-requests": str(remaining),
        "x-ratelimit-reset-requests": f"{reset_seconds:.3f}s",
    }
