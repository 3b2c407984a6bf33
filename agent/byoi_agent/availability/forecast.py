"""What a forecast of the grid says of a moment: serve or wait, and when that changes; pure."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

Kind = Literal["carbon", "price"]

LATEST: Final = 32_503_680_000.0
"""The year 3000 in Unix seconds: no clock of Windows shows a later one, and none any after 9999.

What holds until then holds for ever.
"""

_WEEK_SECONDS: Final = 7 * 86_400.0

_NOW: Final[dict[Kind, str]] = {
    "carbon": "the grid emits {number} g/kWh now",
    "price": "a kWh costs {number} now",
}
_UNKNOWN: Final[dict[Kind, str]] = {
    "carbon": "no forecast says what the grid emits now",
    "price": "no forecast says what a kWh costs now",
}


class Limit(Protocol):
    """What the owner said of a forecast: as in the settings' `Feed`."""

    @property
    def at_most(self) -> float: ...  # noqa: D102
    @property
    def unknown(self) -> Literal["serve", "wait"]: ...  # noqa: D102


@dataclass(frozen=True)
class Slot:
    """A stretch of time with one number; Unix seconds, `until` not included."""

    since: float
    until: float
    value: float


@dataclass(frozen=True)
class Forecast:
    """Slots in order, none over another; between them nothing is known."""

    slots: tuple[Slot, ...]

    def value_at(self, now: float) -> float | None:
        """The number that holds then; None where the forecast does not reach."""
        behind = self._behind(now)
        if behind == 0 or now >= self.slots[behind - 1].until:
            return None
        return self.slots[behind - 1].value

    def changes(self, now: float) -> Iterator[tuple[float, float | None]]:
        """Each moment behind `now` from which on another number holds, or none, in order."""
        ended = LATEST
        for one in islice(self.slots, max(self._behind(now) - 1, 0), None):
            since, until = one.since, one.until
            if now < ended < since:
                yield ended, None
            if now < since:
                yield since, one.value
            ended = until
        if now < ended < LATEST:
            yield ended, None

    def _behind(self, now: float) -> int:
        """How many slots have begun."""
        return bisect_right(self.slots, now, key=lambda one: one.since)

    @property
    def until(self) -> float:
        """When it is outdated."""
        return max((one.until for one in self.slots), default=0.0)


@dataclass(frozen=True)
class Verdict:
    """What follows of a forecast now; `reason` says it in the owner's words, either way.

    `changes_at` is when `serves` becomes the other, in Unix seconds; None where nothing says so.
    """

    kind: Kind
    serves: bool
    reason: str
    value: float | None = None
    changes_at: float | None = None


def judge(
    kind: Kind,
    limit: Limit,
    forecast: Forecast | None,
    now: float,
    local: Callable[[float], datetime],
) -> Verdict:
    """Whether the limit lets the node serve at `now`; `local` tells the owner's clock."""
    known = forecast or Forecast(())
    value = known.value_at(now)
    serves = _serves(limit, value)
    changes_at = _change(limit, known, now, is_serving=serves)
    if value is None:
        wanted = "your setting is to serve then" if serves else "your setting is to wait then"
        reason = f"{_UNKNOWN[kind]}; {wanted}"
    else:
        side = "within" if serves else "above"
        reason = f"{_NOW[kind].format(number=_told(value))}, {side} your {_told(limit.at_most)}"
    if not serves:
        reason += _next_good(changes_at, now, local)
    return Verdict(kind, serves, reason, value, changes_at)


def _serves(limit: Limit, value: float | None) -> bool:
    return limit.unknown == "serve" if value is None else value <= limit.at_most


def _change(limit: Limit, forecast: Forecast, now: float, *, is_serving: bool) -> float | None:
    changes = forecast.changes(now)
    return next((at for at, value in changes if _serves(limit, value) != is_serving), None)


def _next_good(at: float | None, now: float, local: Callable[[float], datetime]) -> str:
    if at is None:
        return "; no better hour is forecast yet"
    shown, today = local(at), local(now).date()
    name = "%a" if at - now < _WEEK_SECONDS else "%Y-%m-%d"
    day = "" if shown.date() == today else f"{shown:{name}} "
    return f"; next good hour {day}{shown:%H:%M}"


def _told(number: float) -> str:
    return f"{number:.4g}"
