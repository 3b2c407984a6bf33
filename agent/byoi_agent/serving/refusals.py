"""Requests that were sent back: counted one by one, told together."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from byoi_agent.clock import Clock

logger = logging.getLogger(__name__)

TOLD_SECONDS: Final = 10.0
"""Least time between two lines of the log about the same reason."""


class Refusals:
    """Sole owner of the counts. The first of a kind is told at once, those that follow in sum."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._counts: Counter[str] = Counter()
        self._told: dict[str, tuple[float, int]] = {}

    @property
    def counts(self) -> Mapping[str, int]:
        """How many by reason, since the start; a copy."""
        return dict(self._counts)

    def note(self, reason: str) -> None:
        """One more was refused."""
        self._counts[reason] += 1
        count, now = self._counts[reason], self._clock.monotonic()
        told_at, told = self._told.get(reason, (now - TOLD_SECONDS, 0))
        if now - told_at >= TOLD_SECONDS:
            logger.info("request refused", extra={"reason": reason, "count": count - told})
            self._told[reason] = (now, count)
