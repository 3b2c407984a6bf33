"""How often wrong secrets were shown lately; pure."""

from __future__ import annotations

from collections import deque
from typing import Final

WINDOW_SECONDS: Final = 60.0
MOST_WRONG: Final = 20
"""A person mistypes less often; 256 bits are not found in any number of tries."""


class Guesses:
    """Sole owner of the count. Whoever shows the right secret is never held up by it."""

    def __init__(self) -> None:
        self._wrong: deque[float] = deque(maxlen=MOST_WRONG + 1)
        self.is_first_too_many = False
        """Whether the last one has just gone over the line: the moment to tell the owner."""

    def wrong(self, now: float) -> bool:
        """Count one; whether there are too many, so that the answer says no more than that."""
        was_too_many = self._are_too_many(now)
        self._wrong.append(now)
        are_too_many = self._are_too_many(now)
        self.is_first_too_many = are_too_many and not was_too_many
        return are_too_many

    def _are_too_many(self, now: float) -> bool:
        while self._wrong and now - self._wrong[0] >= WINDOW_SECONDS:
            self._wrong.popleft()
        return len(self._wrong) > MOST_WRONG
