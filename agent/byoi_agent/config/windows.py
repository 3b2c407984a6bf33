"""Weekly windows on the owner's clock: whether one holds now, and when that may change; pure.

A window is of wall-clock time. When that clock is set forward, an hour of its windows does not
come; set back, an hour comes twice, and a window within it as well. What the clock shows at a
moment is told by whoever asks (`local`, from Unix seconds), so any zone's rules hold.
"""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime, time

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

WEEKDAYS: Final[tuple[Weekday, ...]] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_DAY: Final = timedelta(days=1)
_DAY_SECONDS: Final = 86_400

HORIZON_SECONDS: Final = 15 * _DAY_SECONDS
"""How far ahead is looked: a week's window may fall into an hour that does not come, once."""


class Hours(Protocol):
    """A window of any table; it begins on its days, and `until` before `since` is the day after.

    From a time to the same time is a whole day.
    """

    @property
    def days(self) -> tuple[Weekday, ...]: ...  # noqa: D102
    @property
    def since(self) -> time: ...  # noqa: D102
    @property
    def until(self) -> time: ...  # noqa: D102


def holds(window: Hours, local: datetime) -> bool:
    """Whether the window is open while the owner's clock shows this."""
    day, now = WEEKDAYS[local.weekday()], local.time()
    if window.since < window.until:
        return day in window.days and window.since <= now < window.until
    if now >= window.since:
        return day in window.days
    return now < window.until and WEEKDAYS[(local - _DAY).weekday()] in window.days


def edges(
    windows: Iterable[Hours], after: float, local: Callable[[float], datetime]
) -> Iterator[float]:
    """The moments at which a window may begin or end, or the clock is set; in order, Unix seconds.

    Between two of them nothing changes. Those of the next fifteen days, without `after` itself.
    """
    times = sorted({_seconds(edge) for one in windows for edge in (one.since, one.until)})
    moment = after
    while times and (moment := _next(times, moment, local)) <= after + HORIZON_SECONDS:
        yield moment


def _next(times: list[int], after: float, local: Callable[[float], datetime]) -> float:
    begin = math.floor(after)
    shown = _seconds(local(begin).time())
    moment = begin + min((edge - shown - 1) % _DAY_SECONDS + 1 for edge in times)
    return _clock_set(begin, moment, local)


def _clock_set(begin: int, end: int, local: Callable[[float], datetime]) -> int:
    """The moment at which the clock is set between two; `end` where it runs on as it did."""
    before = _offset(begin, local)
    if _offset(end, local) == before:
        return end
    while end - begin > 1:
        middle = (begin + end) // 2
        if _offset(middle, local) == before:
            begin = middle
        else:
            end = middle
    return end


def _offset(moment: int, local: Callable[[float], datetime]) -> datetime:
    """What the clock would have shown at the beginning of 1970, had it never been set since."""
    return local(moment).replace(tzinfo=None) - timedelta(seconds=moment)


def _seconds(shown: time) -> int:
    """Since midnight; a part of a second counts as a whole one."""
    whole = shown.hour * 3600 + shown.minute * 60 + shown.second
    return whole + (1 if shown.microsecond else 0)
