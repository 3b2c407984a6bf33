"""How far each way of knowing a run's energy is off: a trace of power, replayed.

    python benchmarks/energy.py                          # the trace that comes with it
    python benchmarks/energy.py POWER.csv REQUESTS.csv   # your own

The first file has `seconds,watts` on each line, as close together as you could read them; the
second `id,begin,end` of each request, in the same seconds. The truth is the trace itself.
"""

from __future__ import annotations

import sys
from bisect import bisect_right
from itertools import accumulate, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from byoi_agent.hardware.devices import DeviceReading
from byoi_agent.hardware.energy import EnergyMeter
from byoi_agent.usage.attribution import Attribution
from byoi_agent.usage.sampling import BUSY_SECONDS, IDLE_SECONDS, SETTLE_SECONDS
from byoi_wire.ids import ModelId, RecordId, RequestId

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

TRACES = Path(__file__).with_name("traces")
LIMIT_WATTS = 700.0
"""The card's own limit: what a calculator multiplies by hours."""

WINDOW_SECONDS = 1.0
"""Over which NVIDIA's drivers average power since Ampere (GA100 aside)."""


class Run(NamedTuple):
    """One request's time at the engine."""

    name: str
    begin: float
    end: float


class Found(NamedTuple):
    """What one way of knowing tells of a run."""

    way: str
    requests_joules: float
    idle_joules: float


class Trace:
    """Power over time, and the energy below it."""

    def __init__(self, points: Sequence[tuple[float, float]]) -> None:
        self._at = [at for at, _ in points]
        self._watts = [watts for _, watts in points]
        areas = ((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in pairwise(points))
        self._joules = [0.0, *accumulate(areas)]
        self.begin, self.end = self._at[0], self._at[-1]

    def watts(self, at: float) -> float:
        """At this moment, between two readings by a straight line."""
        place = min(max(bisect_right(self._at, at), 1), len(self._at) - 1)
        before, after = self._at[place - 1], self._at[place]
        part = (at - before) / (after - before)
        return self._watts[place - 1] + part * (self._watts[place] - self._watts[place - 1])

    def joules(self, at: float) -> float:
        """Since the beginning."""
        place = max(bisect_right(self._at, at) - 1, 0)
        seconds = at - self._at[place]
        return self._joules[place] + seconds * (self._watts[place] + self.watts(at)) / 2

    def mean_watts(self, at: float) -> float:
        """Of the second before, as a driver tells it."""
        since = max(self.begin, at - WINDOW_SECONDS)
        if at <= since:
            return self.watts(at)
        return (self.joules(at) - self.joules(since)) / (at - since)


def looks(runs: Iterable[Run], begin: float, end: float, idle: float, busy: float) -> list[float]:
    """When the agent looks: at each beginning and end, and in between at its pace."""
    known = tuple(runs)
    settled = {min(end, run.end + SETTLE_SECONDS) for run in known}
    edges = {begin, end, *(run.begin for run in known), *(run.end for run in known), *settled}
    found: list[float] = []
    for since, until in pairwise(sorted(edges)):
        is_busy = any(run.begin <= since and until <= run.end + SETTLE_SECONDS for run in known)
        pace = busy if is_busy else idle
        found += [since + step * pace for step in range(int((until - since) / pace) + 1)]
    return sorted({*found, end})


def metered(
    way: str,
    runs: Sequence[Run],
    at: Iterable[float],
    read: Callable[[float], DeviceReading],
) -> Found:
    """As the agent does it, with what `read` tells of the card at each look."""
    meter, shares = EnergyMeter(), Attribution()
    told = 0.0
    for now in at:
        for run in (run for run in runs if run.begin == now):
            shares.begin(RecordId(RequestId(run.name), 1), ModelId("model"), now)
        for spent in meter.read([read(now)], now):
            shares.spend(spent)
        for run in (run for run in runs if run.end == now):
            told += shares.settle(RecordId(RequestId(run.name), 1), now) or 0.0
    return Found(way, told + shares.held_joules, shares.idle_joules)


def compare(trace: Trace, runs: Sequence[Run]) -> list[Found]:
    """The truth first, then each way of knowing it."""
    busy, idle = _truth(trace, runs)
    pace = looks(runs, trace.begin, trace.end, IDLE_SECONDS, BUSY_SECONDS)
    slow = looks(runs, trace.begin, trace.end, IDLE_SECONDS, IDLE_SECONDS)
    busy_seconds = _busy_seconds(runs)
    idle_seconds = trace.end - trace.begin - busy_seconds
    return [
        Found("the trace itself", busy, idle),
        metered("counter", runs, pace, lambda at: _card(joules=trace.joules(at))),
        metered("power", runs, pace, lambda at: _card(watts=trace.watts(at))),
        metered("power, as a mean", runs, pace, lambda at: _card(watts=trace.mean_watts(at))),
        metered("power, each 5 s", runs, slow, lambda at: _card(watts=trace.watts(at))),
        Found("limit while it serves", LIMIT_WATTS * busy_seconds, 0.0),
        Found("limit all the time", LIMIT_WATTS * busy_seconds, LIMIT_WATTS * idle_seconds),
    ]


def table(found: Sequence[Found]) -> str:
    """Joules, and how far off the truth."""
    truth = found[0]
    lines = ["| way of knowing | requests | off | idle | off | all |", "| --- |" + " ---: |" * 5]
    for one in found:
        off = _off(one.requests_joules, truth.requests_joules)
        idle_off = _off(one.idle_joules, truth.idle_joules)
        whole = _off(
            one.requests_joules + one.idle_joules, truth.requests_joules + truth.idle_joules
        )
        lines.append(
            f"| {one.way} | {one.requests_joules:,.0f} J | {off} "
            f"| {one.idle_joules:,.0f} J | {idle_off} | {whole} |"
        )
    return "\n".join(lines)


def read_trace(path: Path) -> Trace:
    """`seconds,watts` on each line; `#` begins a remark."""
    return Trace([(float(a), float(b)) for a, b in _fields(path)])


def read_runs(path: Path) -> list[Run]:
    """`id,begin,end` on each line."""
    return [Run(name, float(begin), float(end)) for name, begin, end in _fields(path)]


def _fields(path: Path) -> Iterable[list[str]]:
    for line in path.read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            yield [field.strip() for field in line.split(",")]


def _card(*, joules: float | None = None, watts: float | None = None) -> DeviceReading:
    return DeviceReading(
        index=0, kind="nvidia", name="card", energy_joules=joules, power_watts=watts
    )


def _truth(trace: Trace, runs: Sequence[Run]) -> tuple[float, float]:
    busy = sum(trace.joules(end) - trace.joules(begin) for begin, end in _merged(runs))
    return busy, trace.joules(trace.end) - busy


def _busy_seconds(runs: Sequence[Run]) -> float:
    return sum(end - begin for begin, end in _merged(runs))


def _merged(runs: Sequence[Run]) -> list[tuple[float, float]]:
    merged: list[tuple[float, float]] = []
    for begin, end in sorted((run.begin, run.end) for run in runs):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return merged


def _off(found: float, truth: float) -> str:
    return f"{(found - truth) / truth * 100:+.1f} %"


def main() -> None:
    """Two files, or those that come with it."""
    files = [Path(name) for name in sys.argv[1:]]
    power, requests = files or (TRACES / "power.csv", TRACES / "requests.csv")
    print(table(compare(read_trace(power), read_runs(requests))))


if __name__ == "__main__":
    main()
