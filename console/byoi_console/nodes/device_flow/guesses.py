"""How long somebody waits who typed codes that no device shows. Pure: `now` is passed in."""

from __future__ import annotations

from typing import Final

FREE: Final = 5
"""Wrong codes that cost no wait: a typing error is no attack."""

FIRST_WAIT_SECONDS: Final = 30.0
LONGEST_WAIT_SECONDS: Final = 3600.0
FORGOTTEN_SECONDS: Final = 3600.0
"""After so long without another wrong code, the slate is clean."""

_PLACES: Final = 10_000


class WrongCodes:
    """Sole owner of the count of wrong codes per place (a person, an address).

    Each wrong code beyond the free ones doubles the wait. At most 10,000 places are remembered;
    when there are more, the one that failed longest ago is forgotten.
    """

    def __init__(self) -> None:
        self._wrong: dict[str, tuple[int, float]] = {}

    def wait_seconds(self, place: str, now: float) -> float:
        """How long this place has to wait from `now` (monotonic seconds) on; 0: not at all."""
        count, at = self._wrong.get(place, (0, now))
        if count < FREE:
            return 0.0
        wait = min(FIRST_WAIT_SECONDS * 2.0 ** min(count - FREE, 32), LONGEST_WAIT_SECONDS)
        return max(0.0, at + wait - now)

    def failed(self, place: str, now: float) -> None:
        """Note one wrong code."""
        count, at = self._wrong.pop(place, (0, now))
        if now - at > FORGOTTEN_SECONDS:
            count = 0
        self._wrong[place] = (count + 1, now)
        if len(self._wrong) > _PLACES:
            del self._wrong[next(iter(self._wrong))]
