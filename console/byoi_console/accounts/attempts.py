"""How often a place may show a wrong credential before it is made to wait."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final

from byoi_console.errors import TooManyAttempts

if TYPE_CHECKING:
    from collections.abc import Callable

_PLACES: Final = 10_000
_IPV6_NETWORK_BITS: Final = 64
"""What one household or machine is given (RFC 6177): it has 2^64 addresses to come from."""


def place_of(peer: str) -> str:
    """What failures of this address are counted under: an IPv6 one stands for its network."""
    if ":" not in peer:
        return peer
    try:
        address = ipaddress.IPv6Address(peer.partition("%")[0])
    except ValueError:
        return peer
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(address), _IPV6_NETWORK_BITS), strict=False))


class WrongAttempts:
    """Sole owner of the count of failures per place (an address, an email).

    Each place has `burst` failures, and gets one back every `refill_seconds`; all addresses of an
    IPv6 network are one place. At most 10,000 places are remembered; when there are more, the one
    that failed longest ago is forgotten.
    """

    def __init__(self, burst: int, refill_seconds: float, monotonic: Callable[[], float]) -> None:
        self._burst = burst
        self._refill_seconds = refill_seconds
        self._monotonic = monotonic
        self._failures: dict[str, tuple[float, float]] = {}
        self._total = 0

    @property
    def total(self) -> int:
        """Every failure since the start, wherever it came from."""
        return self._total

    def check(self, place: str) -> None:
        """Say nothing where an attempt may be looked at.

        Raises:
            TooManyAttempts: all failures of this place are spent.
        """
        excess = self._current(place) - self._burst + 1
        if excess > 0:
            raise TooManyAttempts(excess * self._refill_seconds)

    def failed(self, *places: str) -> None:
        """Note one wrong attempt, in the name of every place that it came from or aimed at."""
        self._total += 1
        for place in places:
            self._note(place)

    def _note(self, place: str) -> None:
        place = place_of(place)
        count = self._current(place) + 1
        self._failures.pop(place, None)
        self._failures[place] = (count, self._monotonic())
        if len(self._failures) > _PLACES:
            del self._failures[next(iter(self._failures))]

    def _current(self, place: str) -> float:
        count, at = self._failures.get(place_of(place), (0.0, 0.0))
        return max(0.0, count - (self._monotonic() - at) / self._refill_seconds)
