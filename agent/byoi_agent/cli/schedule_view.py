"""The schedule for people: the week as a picture, its hours with numbers, and what holds now."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.text import Text

from byoi_agent.availability.calendar import any_holds, next_change
from byoi_agent.availability.feed import shown
from byoi_agent.cli.options import width_of
from byoi_agent.clock import owners_clock
from byoi_agent.config.windows import WEEKDAYS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from byoi_agent.config.availability import Schedule, Window
    from byoi_agent.control.schedule import ScheduleStatus

_STEP: Final = timedelta(minutes=30)
_STEPS: Final = 48
_MONDAY: Final = datetime(2024, 1, 1)  # noqa: DTZ001 hours of the owner's clock in any week
_SIGNS: Final = {"serves": ("█", "green"), "quiet": ("·", "blue"), "closed": ("░", "bright_black")}
_WORDS: Final = {"serves": "serves", "quiet": "quiet hours", "closed": "does not serve"}


def show(status: ScheduleStatus, mode: str | None, now: float, *, is_running: bool) -> None:
    """Print it."""
    console = Console(file=sys.stdout, highlight=False, width=width_of(sys.stdout))
    for line in _picture(status):
        console.print(line)
    console.print()
    for number, (kind, window) in enumerate(_hours(status), start=1):
        console.print(f"{number:3}  {kind:7} {hours_in_words(window)}", markup=False)
    words = (*_feeds(status), *now_in_words(status, mode, now, is_running=is_running))
    for sentence in words:
        console.print(sentence, markup=False)


def hours_in_words(window: Window) -> str:
    """Days and times, as the owner would say them."""
    until = f"{window.until:%H:%M}"
    if window.since == window.until:
        return f"{_days(window)}, 24 h from {window.since:%H:%M}"
    over = " of the next day" if window.until < window.since and until != "00:00" else ""
    return f"{_days(window)}, {window.since:%H:%M}-{until}{over}"


def now_in_words(
    status: ScheduleStatus, mode: str | None, now: float, *, is_running: bool
) -> Iterator[str]:
    """What holds now, when it changes, and what to type where nothing comes of it."""
    said = status.now
    held = [one.reason for one in said.forecasts if not one.serves]
    change = said.changes_at
    if said.is_quiet:
        what, change = "quiet hours: no mode serves", _change(status.quiet, now)
    elif not said.is_open:
        what, change = "no window is open", _change(status.windows, now)
    elif held:
        what, change = "; ".join(held), None  # each says its own next hour
    else:
        what = "a window is open" if status.windows else "nothing speaks against serving"
    until = "" if change is None else f", until {_moment(change, now)}"
    yield f"Now, {_clock(now)}: {what}{until}."
    if not status.windows and status.carbon is None and status.price is None:
        yield "The mode scheduled never serves: give it hours by byoi schedule add --since …"
    if mode != "scheduled" and (status.windows or status.carbon or status.price):
        holds = f"the mode is {mode}" if mode else "another mode holds"
        yield f"They count in the mode scheduled only, and {holds}: byoi mode scheduled"
    if not is_running:
        yield "No node runs here; forecasts are read by a running one."


def _picture(schedule: Schedule) -> Iterator[Text]:
    yield Text("     " + "".join(f"{hour:02}    " for hour in range(0, 24, 3)))
    for number, day in enumerate(WEEKDAYS):
        line = Text(f"{day}  ")
        for step in range(_STEPS):
            sign, style = _SIGNS[_state(schedule, _MONDAY + timedelta(days=number) + step * _STEP)]
            line.append(sign, style)
        yield line
    legend = Text("     ")
    for state, (sign, style) in _SIGNS.items():
        legend.append(sign, style).append(f" {_WORDS[state]}   ")
    yield legend


def _state(schedule: Schedule, at: datetime) -> str:
    if any_holds(schedule.quiet, at):
        return "quiet"
    has_forecast = schedule.carbon is not None or schedule.price is not None
    is_open = any_holds(schedule.windows, at) if schedule.windows else has_forecast
    return "serves" if is_open else "closed"


def _hours(schedule: Schedule) -> Iterator[tuple[str, Window]]:
    yield from (("serves", window) for window in schedule.windows)
    yield from (("quiet", window) for window in schedule.quiet)


def _feeds(status: ScheduleStatus) -> Iterator[str]:
    told = {one.kind: one.reason for one in status.now.forecasts}
    for name, feed, unit in (("carbon", status.carbon, " g/kWh"), ("price", status.price, "")):
        if feed is not None:
            now = f": {told[name]}" if name in told else ""
            yield f"{name}: at most {feed.at_most:g}{unit}, by {shown(feed.source)}{now}"


def _days(window: Window) -> str:
    numbers = sorted(WEEKDAYS.index(day) for day in window.days)
    if len(numbers) == len(WEEKDAYS):
        return "every day"
    parts: list[list[int]] = []
    for number in numbers:
        if parts and parts[-1][-1] == number - 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(
        WEEKDAYS[part[0]] if len(part) == 1 else f"{WEEKDAYS[part[0]]}-{WEEKDAYS[part[-1]]}"
        for part in parts
    )


def _change(windows: Sequence[Window], now: float) -> float | None:
    return next_change(windows, now, owners_clock)


def _moment(at: float, now: float) -> str:
    shown_at = owners_clock(at)
    same = shown_at.date() == owners_clock(now).date()
    return f"{shown_at:%H:%M}" if same else _clock(at)


def _clock(at: float) -> str:
    local = owners_clock(at)
    return f"{WEEKDAYS[local.weekday()]} {local:%H:%M}"
