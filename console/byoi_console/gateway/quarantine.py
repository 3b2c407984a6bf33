"""Requests that engines died of are kept from the engines that are left; time is passed in."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

DEATHS_LIMIT: Final = 2
QUARANTINE_SECONDS: Final = 600.0
_REMEMBERED: Final = 4096


class Quarantine:
    """Sole owner of which requests were there when engines died, by fingerprint.

    An engine's death says it of every request that was running there, so one death is not held
    against any; at the second the same request, whoever sends it again, is refused for ten
    minutes. Remembers 4096 requests, and forgets the oldest beyond that.
    """

    def __init__(self) -> None:
        self._deaths: OrderedDict[bytes, tuple[int, float]] = OrderedDict()

    def died(self, fingerprint: bytes, now: float) -> None:
        """An engine failed with this request in hand."""
        count, at = self._deaths.pop(fingerprint, (0, now))
        self._deaths[fingerprint] = (count + 1 if now - at < QUARANTINE_SECONDS else 1, now)
        if len(self._deaths) > _REMEMBERED:
            self._deaths.popitem(last=False)

    def refuses(self, fingerprint: bytes, now: float) -> bool:
        """Whether this request must not be shown to another engine now."""
        count, at = self._deaths.get(fingerprint, (0, 0.0))
        return count >= DEATHS_LIMIT and now - at < QUARANTINE_SECONDS
