"""Whose energy it was: a device's joules shared among the requests that ran meanwhile; pure.

A request's share of an interval is the part of its time in the time of all (request-seconds). An
engine that batches advances every running request by one token a step, so this is their share of
the tokens as well, and it is known for every kind of answer while it runs. What a device takes
while nothing runs is idle and belongs to nobody.

Nothing is given that was not measured. A request that ends between two looks leaves what the second
one finds of it to its model, and takes for that piece what others have left there, at the rate of
the last look; so what is given, left, and idle is always what was measured.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from byoi_wire.ids import ModelId

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from byoi_agent.hardware.energy import Spent
    from byoi_wire.ids import RecordId

STALE_SECONDS: Final = 5.0
"""A device that was not seen for so long at a request's end did not measure that request."""

LEFT_SECONDS: Final = 60.0
"""What requests left to a model that nobody asks for so long goes on no record any more."""

OWN_USE: Final = ModelId("own use")
"""Stands for every model in the owner's own requests: their joules are kept from the guests'."""


@dataclass
class _Run:
    model: ModelId
    devices: frozenset[int] | None
    since: float
    until: float | None = None
    joules: float = 0.0
    is_measured: bool = False
    is_torn: bool = False
    is_settled: bool = False

    def runs_on(self, device: int) -> bool:
        return self.devices is None or device in self.devices

    def overlap(self, since: float, until: float) -> tuple[float, float] | None:
        begin, end = max(since, self.since), until if self.until is None else min(until, self.until)
        return (begin, end) if begin < end else None


class Attribution:
    """Sole owner of what each request in flight has taken so far; `now` is monotonic seconds."""

    def __init__(self) -> None:
        self._runs: dict[RecordId, _Run] = {}
        self._settled: list[_Run] = []
        self._seen: dict[int, float] = {}
        self._rates: dict[int, float] = {}
        self._idle_watts: dict[int, float] = {}
        self._left: defaultdict[ModelId, float] = defaultdict(float)
        self._last_run: dict[ModelId, float] = {}
        self._by_model: defaultdict[ModelId, float] = defaultdict(float)
        self._idle = 0.0

    @property
    def is_busy(self) -> bool:
        """Whether a request runs."""
        return any(run.until is None for run in self._runs.values())

    @property
    def by_model(self) -> Mapping[ModelId, float]:
        """Joules of requests since the start, by model; a copy."""
        return dict(self._by_model)

    @property
    def idle_joules(self) -> float:
        """Joules while nothing ran, since the start."""
        return self._idle

    @property
    def held_joules(self) -> float:
        """Measured and shared out, but not yet on a record: of requests in flight, and left."""
        return sum(run.joules for run in self._runs.values()) + sum(self._left.values())

    def knows(self, record_id: RecordId) -> bool:
        """Whether it has begun and is not settled."""
        return record_id in self._runs

    def begin(
        self, record_id: RecordId, model: ModelId, now: float, devices: frozenset[int] | None = None
    ) -> None:
        """A request goes to an engine on these devices; None where nobody knows which: on all."""
        self._runs[record_id] = _Run(model, devices, now)

    def stop(self, record_id: RecordId, now: float) -> None:
        """The engine has nothing more to do for it; the first call counts."""
        if (run := self._runs.get(record_id)) is not None and run.until is None:
            run.until = now

    def settle(self, record_id: RecordId, now: float) -> float | None:
        """What the request took, for good; None where it was not measured, in whole or in part."""
        self.stop(record_id, now)
        if (run := self._runs.pop(record_id, None)) is None:
            return None
        run.is_settled = True
        self._settled.append(run)
        self._last_run[run.model] = now
        pieces = [self._open_piece(run, device) for device in self._seen if run.runs_on(device)]
        if run.is_torn or any(seconds > STALE_SECONDS for seconds, _ in pieces):
            self._left[run.model] += run.joules
            return None
        drawn = min(self._left[run.model], sum(seconds * rate for seconds, rate in pieces))
        self._left[run.model] -= drawn
        return run.joules + drawn if run.is_measured or drawn else None

    def spend(self, spent: Spent) -> float:
        """Share out what a device took; returns the part that was idle, in joules."""
        runs = self._overlaps(spent)
        self._note(spent)
        if spent.joules is None:
            for run, _ in runs:
                run.is_torn = True
            return 0.0
        idle = self._idle_part(spent, spent.joules, _covered(piece for _, piece in runs))
        total = sum(end - begin for _, (begin, end) in runs)
        if total:
            self._rates[spent.device] = (spent.joules - idle) / total
        for run, (begin, end) in runs:
            self._give(run, (spent.joules - idle) * (end - begin) / total)
        self._idle += idle
        return idle

    def busy_seconds(self, since: float, until: float) -> dict[ModelId, float]:
        """Each model's share of the time in which anything ran; their sum is that time."""
        every = (*self._runs.values(), *self._settled)
        pieces = [(run, piece) for run in every if (piece := run.overlap(since, until))]
        total = sum(end - begin for _, (begin, end) in pieces)
        covered = _covered(piece for _, piece in pieces)
        seconds: defaultdict[ModelId, float] = defaultdict(float)
        for run, (begin, end) in pieces:
            seconds[run.model] += covered * (end - begin) / total
        return dict(seconds)

    def forget_before(self, now: float) -> None:
        """Requests that no device's next look can concern are done with."""
        horizon = min(self._seen.values(), default=now)
        self._settled = [run for run in self._settled if run.until is None or run.until > horizon]

    def take_left(self, now: float, *, at_once: bool = False) -> dict[ModelId, float]:
        """What was left to models that nobody has asked for some time: it goes on no record."""
        running = {run.model for run in self._runs.values()}
        over = [
            model
            for model, joules in self._left.items()
            if joules > 0
            and (at_once or (model not in running and now - self._last_run[model] > LEFT_SECONDS))
        ]
        return {model: self._left.pop(model) for model in over}

    def _overlaps(self, spent: Spent) -> list[tuple[_Run, tuple[float, float]]]:
        return [
            (run, piece)
            for run in (*self._runs.values(), *self._settled)
            if run.runs_on(spent.device) and (piece := run.overlap(spent.since, spent.until))
        ]

    def _idle_part(self, spent: Spent, joules: float, busy_seconds: float) -> float:
        """Of an interval in which something ran for a part: what idle looks took, or its time."""
        seconds = spent.until - spent.since
        if not busy_seconds:
            self._idle_watts[spent.device] = joules / seconds
            return joules
        idle_seconds = max(0.0, seconds - busy_seconds)
        watts = self._idle_watts.get(spent.device, joules / seconds)
        return min(joules * idle_seconds / seconds, watts * idle_seconds)

    def _note(self, spent: Spent) -> None:
        if spent.is_gone:
            self._seen.pop(spent.device, None)
            self._rates.pop(spent.device, None)
            self._idle_watts.pop(spent.device, None)
        else:
            self._seen[spent.device] = spent.until

    def _give(self, run: _Run, joules: float) -> None:
        self._by_model[run.model] += joules
        if run.is_settled:
            self._left[run.model] += joules
        else:
            run.joules += joules
            run.is_measured = True

    def _open_piece(self, run: _Run, device: int) -> tuple[float, float]:
        """Seconds of it that the device's next look will tell of, and the last rate there."""
        piece = run.overlap(self._seen[device], float("inf"))
        return (piece[1] - piece[0] if piece else 0.0), self._rates.get(device, 0.0)


def _covered(pieces: Iterable[tuple[float, float]]) -> float:
    """Seconds in which at least one of them lies."""
    seconds, reached = 0.0, float("-inf")
    for begin, end in sorted(pieces):
        if end > reached:
            seconds += end - max(begin, reached)
            reached = end
    return seconds
