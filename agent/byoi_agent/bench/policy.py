"""Which concurrency is measured next, and where the knee is; pure.

The knee is the smallest concurrency that reaches nine tenths of the most tokens a second that any
one reached: beyond it more requests at once make each of them slower and the whole hardly faster.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

KNEE_SHARE: Final = 0.9
MOST_CONCURRENCY: Final = 256
MOST_EXTENSIONS: Final = 3
MOST_REFINEMENTS: Final = 3
_FINE: Final = 1.25
"""Two concurrencies closer than this need none between them."""


@dataclass(frozen=True)
class Plan:
    """What the owner asked for. `slots` is what the engine runs at once, None where unknown."""

    asked: tuple[int, ...]
    slots: int | None = None
    finds_knee: bool = True

    @property
    def first(self) -> tuple[int, ...]:
        """What is measured in any case, one request alone first: its figures are told apart."""
        return tuple(sorted({1, *self.asked}))


def knee(measured: Mapping[int, float | None]) -> int | None:
    """The smallest concurrency that is as good as any; None where nothing was measured.

    `measured` has the tokens a second of all requests together, None where that failed.
    """
    sums = {concurrency: rate for concurrency, rate in measured.items() if rate}
    if not sums:
        return None
    enough = KNEE_SHARE * max(sums.values())
    return min(concurrency for concurrency, rate in sums.items() if rate >= enough)


def is_open(measured: Mapping[int, float | None], slots: int | None = None) -> bool:
    """Whether the knee may lie further up: nothing above it gave figures, though it was tried.

    Above the engine's `slots` it cannot: there requests only wait.
    """
    now = knee(measured)
    if now is None:
        return True
    if slots is not None and now >= slots:
        return False
    above = [rate for concurrency, rate in measured.items() if concurrency > now]
    return bool(above) and not any(above)


def next_concurrency(plan: Plan, measured: Mapping[int, float | None]) -> int | None:
    """What to measure now; None when all is known.

    First what was asked, then beyond it while that still pays, then between the knee and the
    next smaller one. A level that failed is neither repeated nor passed, and one between the
    others that failed ends the search: the engine is in trouble.
    """
    for concurrency in plan.first:
        if concurrency not in measured:
            return concurrency
    if not plan.finds_knee:
        return None
    return _beyond(plan, measured) or _between(plan, measured)


def _beyond(plan: Plan, measured: Mapping[int, float | None]) -> int | None:
    """Twice the largest one, where that one paid well and the engine may run more at once."""
    largest = max(measured)
    if largest not in _doublings(plan)[:-1] or 2 * largest > MOST_CONCURRENCY:
        return None
    if plan.slots is not None and largest >= plan.slots:
        return None
    best, before = measured[largest], [measured[c] or 0.0 for c in measured if c < largest]
    still_pays = best is not None and best * KNEE_SHARE > max(before, default=0.0)
    return 2 * largest if still_pays else None


def _between(plan: Plan, measured: Mapping[int, float | None]) -> int | None:
    """The geometric middle between the knee and the next smaller one; first the engine's slots."""
    now = knee(measured)
    refined = set(measured).difference(plan.first, _doublings(plan))
    has_failed = any(measured[concurrency] is None for concurrency in refined)
    if now is None or has_failed or len(refined) >= MOST_REFINEMENTS:
        return None
    below = max((concurrency for concurrency in measured if concurrency < now), default=now)
    if now - below <= 1 or now <= below * _FINE:
        return None
    if plan.slots is not None and below < plan.slots < now:
        return plan.slots
    return min(max(round(math.sqrt(below * now)), below + 1), now - 1)


def _doublings(plan: Plan) -> tuple[int, ...]:
    """The largest that was asked for, and those that are looked at beyond it."""
    largest = max(plan.first)
    return tuple(largest * 2**times for times in range(MOST_EXTENSIONS + 1))
