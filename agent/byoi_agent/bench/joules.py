"""Energy between two moments, from looks at the accelerators; pure.

A driver's own counter of joules is believed where every accelerator has one; else the power that
was read is integrated (trapezoids between looks). All accelerators of the machine are counted,
with what they take at rest; where any of them tells neither, nothing is told.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from byoi_agent.hardware.devices import DeviceReading


@dataclass(frozen=True)
class Look:
    """One look: (monotonic seconds), what all counters and all powers make together."""

    at: float
    counter_joules: float | None
    watts: float | None


@dataclass
class EnergyTrace:
    """Sole owner of the looks of one run, oldest first."""

    looks: list[Look] = field(default_factory=list)

    def note(self, at: float, devices: Sequence[DeviceReading]) -> None:
        """One more look."""
        counter = _sum([device.energy_joules for device in devices])
        self.looks.append(Look(at, counter, _sum([device.power_watts for device in devices])))

    def joules(self, begin: float, end: float) -> float | None:
        """What was used between two moments; None where it was not measured, or not throughout."""
        if len(self.looks) < 2 or end <= begin:  # noqa: PLR2004 between two looks
            return None
        if begin < self.looks[0].at or end > self.looks[-1].at:
            return None
        counted = self._between(begin, end, lambda look: look.counter_joules, _rise)
        if counted:
            return counted
        return self._between(begin, end, lambda look: look.watts, _area)

    def _between(
        self,
        begin: float,
        end: float,
        value: Callable[[Look], float | None],
        amount: Callable[[float, float, float], float],
    ) -> float | None:
        """The sum over all stretches between looks, each by the part that lies within."""
        total = 0.0
        for earlier, later in zip(self.looks, self.looks[1:], strict=False):
            within = min(later.at, end) - max(earlier.at, begin)
            if within <= 0:
                continue
            first, second = value(earlier), value(later)
            if first is None or second is None:
                return None
            seconds = later.at - earlier.at
            total += amount(first, second, seconds) * within / seconds
        return total


def _rise(before: float, after: float, _seconds: float) -> float:
    return max(after - before, 0.0)


def _area(before: float, after: float, seconds: float) -> float:
    return (before + after) / 2 * seconds


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None
