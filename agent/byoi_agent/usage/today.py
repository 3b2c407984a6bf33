"""Today's energy and money, kept in memory: whoever asks each second must not read the disk."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from byoi_agent.usage.energy_lines import EnergyKey, EnergyLine
from byoi_agent.usage.report import UsageRow, Worth

if TYPE_CHECKING:
    from byoi_agent.usage.report import UsageReport
    from byoi_agent.usage.value import Value


class Today:
    """Sole owner of the sums of one day (UTC); they begin anew with the next."""

    def __init__(self) -> None:
        self._day = ""
        self._requests = 0
        self._worth = Worth()
        self._lines: defaultdict[EnergyKey, list[int]] = defaultdict(lambda: [0, 0])

    def begin(self, day: str, report: UsageReport) -> None:
        """What was there before this start."""
        self._turn(day)
        for row in report.rows:
            if row.day == day:
                self._requests += row.requests
                self._worth = self._worth.plus(row.worth)
        for line in report.energy:
            self.add_line(line, now=day)

    def add_record(self, day: str, value: Value, *, now: str) -> None:
        """One more request, of the day on which it began."""
        self._turn(now)
        if day == now:
            self._requests += 1
            self._worth = self._worth.plus(worth_of(value))

    def add_line(self, line: EnergyLine, *, now: str) -> None:
        """Energy that is on no record."""
        self._turn(now)
        if line.key.day == now:
            sums = self._lines[line.key]
            sums[0] += line.microjoules
            sums[1] += line.nano

    def view(self, now: str) -> tuple[tuple[UsageRow, ...], tuple[EnergyLine, ...]]:
        """One row of all models and outcomes, and the lines."""
        self._turn(now)
        row = UsageRow(now, "", "", self._requests, 0, 0, 0, self._worth)
        return (row,), tuple(EnergyLine(key, *sums) for key, sums in self._lines.items())

    def _turn(self, day: str) -> None:
        if day != self._day:
            self._day, self._requests, self._worth = day, 0, Worth()
            self._lines.clear()


def worth_of(value: Value) -> Worth:
    """A single request's part of a sum."""
    return Worth(
        measured_requests=int(value.microjoules is not None),
        priced_requests=int(value.earned is not None),
        microjoules=value.microjoules,
        earned=() if value.earned is None else (value.earned,),
        energy_cost=() if value.energy is None else (value.energy,),
    )
