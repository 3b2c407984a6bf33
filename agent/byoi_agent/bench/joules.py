"""Energy of this machine between two moments of a benchmark; pure.

All devices that are shown to it count, with what they take at rest. Where one of them tells
neither energy nor power, or was not measured throughout, nothing is told: a part would look like a
whole.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from byoi_agent.hardware.energy import EnergyMeter, tells

if TYPE_CHECKING:
    from collections.abc import Sequence

    from byoi_agent.hardware.devices import DeviceReading
    from byoi_agent.hardware.energy import Spent

_SLACK_SECONDS: Final = 1e-6


class EnergyTrace:
    """Sole owner of what each device took from look to look of one run."""

    def __init__(self) -> None:
        self._meter = EnergyMeter()
        self._spent: dict[int, list[Spent]] = defaultdict(list)
        self._is_partial = False

    def note(self, at: float, devices: Sequence[DeviceReading]) -> None:
        """One more look, at monotonic seconds `at`."""
        self._is_partial = self._is_partial or not all(map(tells, devices))
        for spent in self._meter.read(devices, at):
            self._spent[spent.device].append(spent)

    def joules(self, begin: float, end: float) -> float | None:
        """What was used between two moments; None where it was not measured throughout."""
        if self._is_partial or not self._spent or end <= begin:
            return None
        parts = [_within(spent, begin, end) for spent in self._spent.values()]
        known = [part for part in parts if part is not None]
        return sum(known) if len(known) == len(parts) and sum(known) > 0 else None


def _within(stretches: Sequence[Spent], begin: float, end: float) -> float | None:
    """One device's, of each stretch between looks the part that lies within."""
    joules = covered = 0.0
    for stretch in stretches:
        seconds = min(stretch.until, end) - max(stretch.since, begin)
        if seconds <= 0:
            continue
        if stretch.joules is None:
            return None
        joules += stretch.joules * seconds / (stretch.until - stretch.since)
        covered += seconds
    return joules if covered >= end - begin - _SLACK_SECONDS else None
