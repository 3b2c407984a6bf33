"""Axes of a diagram: which numbers stand at them, and where a value lies; pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

_STEPS: Final = (1.0, 2.0, 2.5, 5.0, 10.0)
_TICKS: Final = 5
_MOST_TICKS: Final = 8


class Scale(Protocol):
    """One axis."""

    @property
    def ticks(self) -> tuple[float, ...]:
        """The numbers at it, rising."""
        ...

    def share(self, value: float) -> float:
        """Where a value lies: 0 at the beginning of the axis, 1 at its end."""
        ...


@dataclass(frozen=True)
class Linear:
    """From zero on, for amounts that people compare by length."""

    ticks: tuple[float, ...]

    @classmethod
    def over(cls, values: Iterable[float]) -> Linear:
        """With round numbers up to the largest value or just beyond it."""
        most = max((value for value in values if value > 0), default=1.0)
        rough = most / _TICKS
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(step * power for step in _STEPS if step * power >= rough * (1 - 1e-9))
        return cls(tuple(step * number for number in range(math.ceil(most / step - 1e-9) + 1)))

    def share(self, value: float) -> float:
        """In proportion."""
        return value / self.ticks[-1]


@dataclass(frozen=True)
class Logarithmic:
    """For times, of which one may be a thousand times the other."""

    ticks: tuple[float, ...]

    @classmethod
    def over(cls, values: Iterable[float]) -> Logarithmic:
        """With 1, 2, 5, 10 … around the values; only powers of ten where those are too many."""
        positive = [value for value in values if value > 0] or [1.0]
        for digits in ((1, 2, 5), (1,)):
            ticks = _round_numbers(min(positive), max(positive), digits)
            if len(ticks) <= _MOST_TICKS:
                break
        return cls(ticks)

    def share(self, value: float) -> float:
        """By its logarithm; what is not above zero lies at the beginning."""
        first, last = math.log(self.ticks[0]), math.log(self.ticks[-1])
        return (math.log(max(value, self.ticks[0])) - first) / (last - first)


def apart(places: dict[int, float], pixels: float) -> dict[int, float]:
    """Those whose labels do not overlap, the first and the last of them in any case."""
    if not places:
        return {}
    last = max(places)
    shown: dict[int, float] = {}
    before = -math.inf
    for name in sorted(places):
        is_free = places[name] - before >= pixels
        if name == last or (is_free and places[last] - places[name] >= pixels):
            shown[name] = before = places[name]
    return shown


def _round_numbers(least: float, most: float, digits: tuple[int, ...]) -> tuple[float, ...]:
    """From the last one not above `least` to the first one not below `most`, at least two."""
    powers = range(math.floor(math.log10(least)) - 1, math.ceil(math.log10(most)) + 2)
    numbers = sorted(digit * 10.0**power for power in powers for digit in digits)
    begin = max(at for at, value in enumerate(numbers) if value <= least)
    end = min(at for at, value in enumerate(numbers) if value >= most)
    return tuple(numbers[begin : max(end, begin + 1) + 1])
