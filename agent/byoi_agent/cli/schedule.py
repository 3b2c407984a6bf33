"""`byoi schedule`: when the node serves, and when it is quiet; shown, added to, taken from."""

from __future__ import annotations

import os
from datetime import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from byoi_agent.availability.calendar import look
from byoi_agent.cli.durations import ClockTime
from byoi_agent.cli.options import (
    choose,
    debug_option,
    json_option,
    place_of,
    setting_options,
)
from byoi_agent.cli.schedule_view import hours_in_words, show
from byoi_agent.clock import SystemClock, owners_clock
from byoi_agent.config.availability import Schedule, Window
from byoi_agent.config.edit import set_schedule
from byoi_agent.config.windows import WEEKDAYS
from byoi_agent.control.instances import find
from byoi_agent.control.schedule import ScheduleNow, ScheduleStatus
from byoi_agent.errors import ConfigError

if TYPE_CHECKING:
    from byoi_agent.config.windows import Weekday
    from byoi_agent.control.client import ControlClient

_GROUPS = {
    "all": WEEKDAYS,
    "daily": WEEKDAYS,
    "weekdays": WEEKDAYS[:5],
    "weekend": WEEKDAYS[5:],
}


class _Found(NamedTuple):
    """The schedule that is meant: a running node's, or that of the file a node would read."""

    status: ScheduleStatus
    node: ControlClient | None
    file: Path
    mode: str | None


@click.group(
    invoke_without_command=True,
    epilog="""\b
Examples:
  byoi schedule
  byoi schedule add --days mon-fri --since 22:00 --until 06:00
  byoi schedule add --days weekend --since 00:00 --until 00:00
  byoi schedule add --quiet --since 23:00 --until 07:00
  byoi schedule remove 2
  byoi mode scheduled
""",
)
@setting_options("data_dir")
@json_option
@debug_option
def schedule(*, as_json: bool, **flags: object) -> None:
    """Show when the node serves in the mode scheduled, and its quiet hours; add and remove some.

    Hours are those of this machine's clock. A running node takes a change over at once; it is
    written into its configuration file, whose comments stay.
    """
    if click.get_current_context().invoked_subcommand is None:
        _tell(_find(flags), as_json=as_json)


@schedule.command()
@click.option("--days", default="all", show_default=True, help="mon-fri, sat,sun, weekend, all …")
@click.option("--since", type=ClockTime(), required=True, help="When it begins.")
@click.option(
    "--until", type=ClockTime(), required=True, help="When it ends; before --since: the day after."
)
@click.option("--quiet", is_flag=True, help="Hours in which no mode serves.")
@setting_options("data_dir")
@json_option
@debug_option
def add(
    *,
    days: str,
    since: tuple[int, int],
    until: tuple[int, int],
    quiet: bool,
    as_json: bool,
    **flags: object,
) -> None:
    """Add hours in which the mode scheduled serves, or with --quiet some in which none does."""
    window = Window(days=days_of(days), since=time(*since), until=time(*until))
    found = _find(_joined(flags))
    name = "quiet" if quiet else "windows"
    held: tuple[Window, ...] = getattr(found.status, name)
    if window in held:
        raise ConfigError(f"the schedule has {hours_in_words(window)} already")
    _tell(_put(found, {name: (*held, window)}), as_json=as_json or _is_json())


@schedule.command()
@click.argument("number", type=click.IntRange(1), required=False)
@click.option("--all", "everything", is_flag=True, help="All windows and quiet hours.")
@setting_options("data_dir")
@json_option
@debug_option
def remove(
    number: int | None,
    *,
    everything: bool,
    as_json: bool,
    **flags: object,
) -> None:
    """Remove the hours with this NUMBER, as byoi schedule shows it, or with --all every one."""
    if (number is None) == (not everything):
        raise click.UsageError("name the NUMBER of the hours, or --all; byoi schedule shows them")
    found = _find(_joined(flags))
    windows, quiet = found.status.windows, found.status.quiet
    if number is not None:
        at = number - 1
        if at >= len(windows) + len(quiet):
            raise ConfigError(f"the schedule has no hours number {number}; see: byoi schedule")
        behind = at - len(windows)
        windows = tuple(one for n, one in enumerate(windows) if n != at)
        quiet = tuple(one for n, one in enumerate(quiet) if n != behind)
    else:
        windows = quiet = ()
    _tell(_put(found, {"windows": windows, "quiet": quiet}), as_json=as_json or _is_json())


def days_of(text: str) -> tuple[Weekday, ...]:
    """The days that a person named: single ones, ranges, also over the week's end, and groups.

    Raises:
        click.UsageError: one of them is none.
    """
    found: set[Weekday] = set()
    for part in text.lower().replace(" ", "").split(","):
        first, _, last = part.partition("-")
        if part in _GROUPS:
            found.update(_GROUPS[part])
        elif first in WEEKDAYS and (last in WEEKDAYS or part == first):
            begin = WEEKDAYS.index(first)
            count = (WEEKDAYS.index(last or first) - begin) % len(WEEKDAYS) + 1
            found.update((WEEKDAYS * 2)[begin : begin + count])
        else:
            raise click.UsageError(
                f"--days {part!r} is no day; it looks like mon-fri, sat,sun, weekend or all"
            )
    return tuple(day for day in WEEKDAYS if day in found)


def _joined(flags: dict[str, object]) -> dict[str, object]:
    """With what stands before the name of the inner command."""
    parent = click.get_current_context().parent
    outer = {} if parent is None else {name: parent.params.get(name) for name in flags}
    return {name: outer.get(name) if value is None else value for name, value in flags.items()}


def _is_json() -> bool:
    parent = click.get_current_context().parent
    return parent is not None and bool(parent.params.get("as_json"))


def _find(flags: dict[str, object]) -> _Found:
    chosen = choose(flags)
    found = find(chosen.paths, os.environ, is_named=chosen.is_data_dir_named)
    if found.nodes and found.found_by != "demo":
        node = found.nodes[0].client
        status = node.schedule()
        file = Path(status.now.file) if status.now.file else place_of(flags)
        held = node.status().availability
        return _Found(status, node, file, None if held is None else held.mode)
    file = place_of(flags)
    return _Found(_offline(chosen.settings.schedule, file), None, file, chosen.settings.mode)


def _offline(held: Schedule, file: Path) -> ScheduleStatus:
    """What the schedule says without its forecasts, which a running node reads."""
    state = look(held.windows, held.quiet, (), SystemClock().wall(), owners_clock)
    now = ScheduleNow(
        is_open=state.is_open,
        is_quiet=state.is_quiet,
        changes_at=state.changes_at,
        file=str(file),
    )
    return ScheduleStatus(**{name: getattr(held, name) for name in Schedule.model_fields}, now=now)


def _put(found: _Found, change: dict[str, object]) -> _Found:
    whole = {name: getattr(found.status, name) for name in Schedule.model_fields}
    wanted = Schedule(**{**whole, **change})
    if found.node is None:
        set_schedule(found.file, wanted)
        return found._replace(status=_offline(wanted, found.file))
    try:
        return found._replace(status=found.node.put_schedule(wanted))
    except ConfigError:
        # The node's user may not write there; the one who types this may.
        if not os.access(found.file, os.W_OK):
            raise
    set_schedule(found.file, wanted)
    found.node.reload()
    return found._replace(status=found.node.schedule())


def _tell(found: _Found, *, as_json: bool) -> None:
    if as_json:
        click.echo(found.status.model_dump_json())
        return
    show(found.status, found.mode, SystemClock().wall(), is_running=found.node is not None)
