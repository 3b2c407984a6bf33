"""Whether the node serves now, and why, for everybody else: frozen."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field, replace
from typing import Literal

Mode = Literal["dedicated", "idle", "scheduled"]

ModeSource = Literal["switch", "setting", "enrolment", "default"]

State = Literal["serve", "drain", "yield"]
"""`drain` takes nothing new and lets end what runs; `yield` hands all back and frees the memory."""


@dataclass(frozen=True)
class Durations:
    """A histogram: `counts` has one number for each bound and one for all beyond."""

    bounds: tuple[float, ...] = (0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)
    counts: tuple[int, ...] = (0,) * 12
    sum_seconds: float = 0.0

    def with_one(self, seconds: float) -> Durations:
        """The same and one more."""
        at = bisect_left(self.bounds, seconds)
        counts = (*self.counts[:at], self.counts[at] + 1, *self.counts[at + 1 :])
        return replace(self, counts=counts, sum_seconds=self.sum_seconds + seconds)


@dataclass(frozen=True)
class ReclaimTimes:
    """How long the machine took to be the owner's again; seconds, over the reclaims kept.

    `last_is_told` where a server that is not ours was among them, which only tells of its memory.
    `since_start` counts those of this process, whether their memory came back or not.
    """

    count: int = 0
    p50_seconds: float | None = None
    p99_seconds: float | None = None
    last_seconds: float | None = None
    last_cause: str | None = None
    last_is_told: bool = False
    since_start: Durations = field(default_factory=Durations)


@dataclass(frozen=True)
class AvailabilityView:
    """The decision that holds now.

    `code` names the reason for programs and `reason` tells it to the owner; `since`, `until` (when
    it may change by the clock alone) and `paused_until` are Unix seconds. `mode_source` is who
    chose the mode and `paused_by` who paused. `pinned_to` is the organisation that the owner has
    consented to dedicate the node to.
    """

    mode: Mode = "dedicated"
    mode_source: ModeSource = "default"
    state: State = "serve"
    code: str = "dedicated"
    reason: str = "always serves"
    is_paused: bool = False
    paused_until: float | None = None
    paused_by: str | None = None
    since: float | None = None
    until: float | None = None
    pinned_to: str | None = None
    reclaims: ReclaimTimes = field(default_factory=ReclaimTimes)

    @property
    def is_serving(self) -> bool:
        """Whether new work is taken."""
        return self.state == "serve"
