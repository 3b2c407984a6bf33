"""A week of windows as bars of an SVG: where each one stands is worked out here; pure.

No style may be written inline, and a picture of the week is for the eye alone: beside it stands
the list of the same windows in words.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import time
from typing import TYPE_CHECKING, Final, Literal

from byoi_agent.config.windows import WEEKDAYS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from byoi_agent.config.windows import Hours

Kind = Literal["open", "quiet"]

DAY_NAMES: Final = {
    "mon": "Monday",
    "tue": "Tuesday",
    "wed": "Wednesday",
    "thu": "Thursday",
    "fri": "Friday",
    "sat": "Saturday",
    "sun": "Sunday",
}
LEFT: Final = 44
ROW: Final = 26
GAP: Final = 6
TOP: Final = 22
_HOUR: Final = 24
"""Units of the picture for an hour; a day is 576 wide."""
WIDTH: Final = LEFT + 24 * _HOUR + 14
HEIGHT: Final = TOP + 7 * (ROW + GAP)
_MINUTES_OF_A_DAY: Final = 1440
_NO_TIME: Final = 0


@dataclass(frozen=True)
class Bar:
    """A window's part on one day, in units of the picture."""

    x: float
    y: float
    width: float
    height: float
    kind: Kind


@dataclass(frozen=True)
class Week:
    """What the template draws: a ground for each day, bars on them, and lines at some hours."""

    grounds: tuple[tuple[str, float, bool], ...]
    bars: tuple[Bar, ...]
    hours: tuple[tuple[str, float], ...]
    left: int = LEFT
    row: int = ROW
    width: int = WIDTH
    height: int = HEIGHT
    day_width: int = 24 * _HOUR


def week_of(windows: Iterable[Hours], quiet: Iterable[Hours], today: int) -> Week:
    """The picture of a schedule; `today` is 0 for Monday."""
    bars = [*_bars(windows, "open", inset=0), *_bars(quiet, "quiet", inset=7)]
    names = [name[:3] for name in DAY_NAMES.values()]
    return Week(
        grounds=tuple((name, _y(day), day == today) for day, name in enumerate(names)),
        bars=tuple(bars),
        hours=tuple((f"{hour:02}", float(LEFT + hour * _HOUR)) for hour in range(0, 25, 6)),
    )


def in_words(window: Hours) -> str:
    """A window as the list beside the picture tells it."""
    days = days_in_words(window.days)
    if window.since == window.until == time.min:
        return f"{days}, the whole day"
    next_day = " of the next day" if window.until <= window.since else ""
    return f"{days}, {window.since:%H:%M} to {window.until:%H:%M}{next_day}"


def days_in_words(days: Iterable[str]) -> str:
    """Days as people say them: runs of three or more by their ends."""
    chosen = [day for day in WEEKDAYS if day in set(days)]
    if len(chosen) == len(WEEKDAYS):
        return "every day"
    runs: list[list[str]] = []
    for day in chosen:
        if runs and WEEKDAYS.index(runs[-1][-1]) + 1 == WEEKDAYS.index(day):
            runs[-1].append(day)
        else:
            runs.append([day])
    told = []
    for run in runs:
        names = [DAY_NAMES[day] for day in run]
        told += [f"{names[0]} to {names[-1]}"] if len(names) > 2 else names  # noqa: PLR2004
    return ", ".join(told)


def _bars(windows: Iterable[Hours], kind: Kind, inset: float) -> Iterator[Bar]:
    for window in windows:
        since, until = _minutes(window.since), _minutes(window.until)
        for day in window.days:
            row = WEEKDAYS.index(day)
            if since < until:
                yield _bar(row, since, until, kind, inset)
                continue
            yield _bar(row, since, _MINUTES_OF_A_DAY, kind, inset)
            if until > _NO_TIME:
                yield _bar((row + 1) % len(WEEKDAYS), _NO_TIME, until, kind, inset)


def _bar(row: int, since: int, until: int, kind: Kind, inset: float) -> Bar:
    return Bar(
        x=round(LEFT + since * _HOUR / 60, 1),
        y=_y(row) + inset,
        width=round((until - since) * _HOUR / 60, 1),
        height=ROW - 2 * inset,
        kind=kind,
    )


def _y(row: int) -> float:
    return float(TOP + row * (ROW + GAP))


def _minutes(shown: time) -> int:
    return shown.hour * 60 + shown.minute
