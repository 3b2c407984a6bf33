"""How long the machine took to be its owner's again, and whether the promise was kept; pure."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Final

from byoi_agent.availability.view import Durations, ReclaimTimes

if TYPE_CHECKING:
    from collections.abc import Sequence

PROMISE_SECONDS: Final = 2.0
"""From the owner's first key, or whatever else it was, until the memory is seen to be back."""

KEPT: Final = 1000
_HALF: Final = 0.5
_NEARLY_ALL: Final = 0.99


@dataclass(frozen=True)
class Reclaim:
    """One time that the owner took the machine back.

    `cause` is the decision's code, `at` Unix seconds. `is_back` is false where the memory was not
    seen to come back; `seconds` are then those that it was waited for. `slowest` names the engine
    that took longest. `is_told` where a server that is not ours was among them, of which only its
    own word is known.
    """

    cause: str
    at: float
    seconds: float
    is_back: bool = True
    slowest: str = ""
    is_told: bool = False

    @property
    def is_kept(self) -> bool:
        """Whether the promise was kept."""
        return self.is_back and self.seconds <= PROMISE_SECONDS


@dataclass(frozen=True)
class Reclaims:
    """The last of them, oldest first; and how many were added here, by the time that they took."""

    kept: tuple[Reclaim, ...] = ()
    added: Durations = field(default_factory=Durations)

    def with_one(self, reclaim: Reclaim) -> Reclaims:
        """The same and one more, without what is too long ago to be kept."""
        return Reclaims((*self.kept, reclaim)[-KEPT:], self.added.with_one(reclaim.seconds))

    @property
    def times(self) -> ReclaimTimes:
        """For the owner."""
        if not self.kept:
            return ReclaimTimes()
        seconds = sorted(one.seconds for one in self.kept)
        last = self.kept[-1]
        return ReclaimTimes(
            count=len(seconds),
            p50_seconds=_rank(seconds, _HALF),
            p99_seconds=_rank(seconds, _NEARLY_ALL),
            last_seconds=round(last.seconds, 3),
            last_cause=last.cause,
            last_is_told=last.is_told,
            since_start=self.added,
        )

    def to_json(self) -> str:
        """To be read by `from_json`."""
        return json.dumps([asdict(one) for one in self.kept], separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Reclaims:
        """What was kept; a line that is none is left out.

        Raises:
            ValueError: it is no such list.
        """
        found = json.loads(text)
        if not isinstance(found, list):
            raise ValueError("no list of reclaims")  # noqa: TRY004 the caller knows one error
        return cls(tuple(one for each in found if (one := _reclaim(each)) is not None)[-KEPT:])


def _reclaim(told: object) -> Reclaim | None:
    match told:
        case {
            "cause": str(cause),
            "at": float() | int() as at,
            "seconds": float() | int() as seconds,
            "is_back": bool(is_back),
            "slowest": str(slowest),
            **more,
        } if math.isfinite(at) and math.isfinite(seconds):
            return Reclaim(cause, at, seconds, is_back, slowest, more.get("is_told") is True)
        case _:
            return None


def _rank(ordered: Sequence[float], share: float) -> float:
    """The nearest rank: a time that was measured, never one in between."""
    return round(ordered[max(0, math.ceil(share * len(ordered)) - 1)], 3)
