"""How long and until when, as people type and read it; pure."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final

import click

_UNITS: Final = {"d": 86_400.0, "h": 3600.0, "m": 60.0, "min": 60.0, "s": 1.0}
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(d|h|min|m|s)\s*")
_MOST_SECONDS: Final = 366 * 86_400
_CLOCK: Final = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")


class Duration(click.ParamType[float]):
    """Seconds, typed as `90m`, `2h`, `1h30m` or `2d`."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The seconds; a sentence with examples where it is none."""
        if isinstance(value, float):
            return value
        text = str(value).strip().lower()
        parts = _PART.findall(text)
        seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
        if _PART.sub("", text) or not parts:
            self.fail(f"{value!r} is no length of time; type for example 90m, 2h or 1h30m")
        if not 0 < seconds <= _MOST_SECONDS:
            self.fail(f"{value!r} is not between a second and 366 days", param, ctx)
        return seconds


class ClockTime(click.ParamType[tuple[int, int]]):
    """A time of day, typed as `18:30`: hour and minute."""

    name = "HH:MM"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Hour and minute; a sentence with an example where it is none."""
        found = _CLOCK.fullmatch(str(value).strip())
        if found is None:
            self.fail(f"{value!r} is no time of day; type for example 18:30", param, ctx)
        return int(found[1]), int(found[2])


def seconds_until(clock_time: tuple[int, int], now: datetime) -> float:
    """From `now`, on the owner's clock, to when that clock next shows the time.

    Over the clock's own changes in spring and autumn it is what really passes.
    """
    hour, minute = clock_time
    at = now.replace(tzinfo=None, hour=hour, minute=minute, second=0, microsecond=0)
    if at.timestamp() <= now.timestamp():
        at += timedelta(days=1)
    return at.timestamp() - now.timestamp()


def moment(at: float, now: float) -> str:
    """Unix seconds as the owner's clock shows them; with the day where that is not today's."""
    shown, today = datetime.fromtimestamp(at), datetime.fromtimestamp(now)  # noqa: DTZ006 theirs
    return f"{shown:%H:%M}" if shown.date() == today.date() else f"{shown:%a %d %b %H:%M}"
