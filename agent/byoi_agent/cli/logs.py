"""`byoi logs`: what the node wrote down, from its file or from the journal of its unit."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import shutil
import subprocess
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from byoi_agent.cli.durations import Duration
from byoi_agent.cli.options import choose_to_ask, debug_option, setting_options
from byoi_agent.control.client import NodeUnreachable
from byoi_agent.control.instances import find
from byoi_agent.control.schema import LogStatus
from byoi_agent.errors import AgentError
from byoi_agent.telemetry.log_file import follow as lines_from_now
from byoi_agent.telemetry.log_file import newest, size_of
from byoi_agent.telemetry.log_filter import LogFilter
from byoi_agent.telemetry.logs import human_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from byoi_agent.cli.options import Chosen
    from byoi_agent.control.client import ControlClient

_LOOK_SECONDS: Final = 0.2
_MOST_KEPT: Final = 2000
"""So many lines a node has in memory, and tells at once."""
_NOT_KEPT: Final = (
    "the node writes its log to standard error alone; byoi run --log-file auto keeps it"
)
_LEVELS: Final = ("debug", "info", "warning", "error")


@click.command(
    epilog="""\b
Examples:
  byoi logs
  byoi logs -f --level warning
  byoi logs --since 2h --room engine
  byoi logs -n 100000 --grep req_1f
  byoi logs -n 1000 --json | jq .event
"""
)
@setting_options("data_dir")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written from now on.")
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(min=0),
    default=50,
    show_default=True,
    help="So many of the newest lines.",
)
@click.option("--level", type=click.Choice(_LEVELS), help="Only lines that are at least this.")
@click.option("--since", type=Duration(), help="Only lines not older than this: 90m, 2h, 1d.")
@click.option("--room", help="Only lines of this part of the node: engine, link, serving, …")
@click.option("--grep", "words", help="Only lines with these words, in whatever case.")
@click.option("--json", "as_json", is_flag=True, help="As they are written, one object each.")
@debug_option
def logs(
    *,
    lines: int,
    level: str | None,
    since: float | None,
    room: str | None,
    words: str | None,
    follow: bool,
    as_json: bool,
    **flags: object,
) -> None:
    """Show what the node has logged, also while none runs.

    How much is logged is --log-level of byoi run. Where this user can read no file and no journal
    of the node, the node is asked: it has its last 2000 lines in memory.
    """
    is_all = (level, since, room, words) == (None, None, None, None)
    wanted = LogFilter(
        least=logging.getLevelNamesMapping()[(level or "debug").upper()],
        since=None if since is None else time.time() - since,
        room=room,
        words=words,
    )
    for line in _lines(choose_to_ask(flags), lines, None if is_all else wanted, follow=follow):
        click.echo(line if as_json else human_line(line))


def _lines(chosen: Chosen, count: int, wanted: LogFilter | None, *, follow: bool) -> Iterator[str]:
    node, place = _place(chosen)
    if place.unit is not None and (node is None or _is_told(place)):
        yield from _from_journal(place, count, wanted, follow=follow)
    elif node is not None and (place.file is None or _is_shut(Path(place.file))):
        if place.unit is None and place.file is None:
            click.echo(f"byoi: {_NOT_KEPT}; these lines are from its memory", err=True)
        yield from _from_node(node, count, wanted, follow=follow)
    elif place.file is None:
        raise AgentError(_NOT_KEPT)
    else:
        yield from _from_file(Path(place.file), count, wanted, follow=follow)


def _place(chosen: Chosen) -> tuple[ControlClient | None, LogStatus]:
    """As the running node says, which then can be asked; where none runs, where it would write."""
    found = find(chosen.paths, os.environ, is_named=chosen.is_data_dir_named)
    for node in found.nodes[:1]:
        try:
            if (log := node.client.status().log) is not None:
                return node.client, log
        except NodeUnreachable:
            if found.found_by == "environment":
                raise  # what lies here is another node's
    setting = chosen.settings.log_file
    usual = setting in {"auto", "none"}
    return None, LogStatus(file=str(chosen.paths.log_file if usual else Path(setting).absolute()))


def _is_shut(file: Path) -> bool:
    """Whether this user may not read it; a node of another account keeps it to itself."""
    try:
        return file.exists() and not os.access(file, os.R_OK)
    except PermissionError:
        return True


def _from_file(file: Path, count: int, wanted: LogFilter | None, *, follow: bool) -> Iterator[str]:
    if not file.exists() and not follow:
        raise AgentError(
            f"nothing has been logged to {file} yet; "
            "the lines of a node that systemd runs are in its journal: journalctl -u byoi"
        )
    end = size_of(file)
    is_wanted = _test_of(wanted)
    yield from newest(file, count, is_wanted, to_bytes=end)
    if follow:
        coming = lines_from_now(file, lambda: time.sleep(_LOOK_SECONDS), from_bytes=end)
        yield from filter(is_wanted, coming)


def _from_node(
    node: ControlClient, count: int, wanted: LogFilter | None, *, follow: bool
) -> Iterator[str]:
    """What a node has in memory since its start, where this user can read nothing else of it."""
    is_wanted = _test_of(wanted)
    kept = [line.model_dump_json() for line in node.logs(_MOST_KEPT, "debug").lines]
    yield from deque(filter(is_wanted, kept), count)
    if follow:
        coming = (line.model_dump_json() for line in node.follow_logs(0, "debug"))
        yield from filter(is_wanted, coming)


def _test_of(wanted: LogFilter | None) -> Callable[[str], bool]:
    return (lambda _line: True) if wanted is None else wanted.passes


def _is_told(place: LogStatus) -> bool:
    """Whether the journal shows this user anything of the unit: not so outside its groups."""
    if shutil.which("journalctl") is None:
        return False
    with _journal(place, "--lines=1", "--quiet") as lines:
        return any(lines)


def _from_journal(
    place: LogStatus, count: int, wanted: LogFilter | None, *, follow: bool
) -> Iterator[str]:
    if wanted is None:
        with _journal(place, f"--lines={count}", *(["--follow"] if follow else [])) as lines:
            yield from lines
        return
    since = [] if wanted.since is None else [f"--since=@{wanted.since:.0f}"]
    with _journal(place, "--reverse", *since) as lines:
        found = list(itertools.islice(filter(wanted.passes, lines), count))
    yield from reversed(found)
    if follow:
        with _journal(place, "--lines=0", "--follow") as lines:
            yield from filter(wanted.passes, lines)


@contextlib.contextmanager
def _journal(place: LogStatus, *how: str) -> Iterator[Iterator[str]]:
    program = shutil.which("journalctl")
    if program is None:
        raise AgentError("the lines are in the system's journal, and there is no journalctl here")
    unit = "--user-unit" if place.is_users else "--unit"
    argv = [program, f"{unit}={place.unit}", "--output=cat", "--no-pager", *how]
    with subprocess.Popen(  # noqa: S603 our own words and the unit that the node told
        argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as journal:
        assert journal.stdout is not None, "a pipe was asked for"
        try:
            yield (line.rstrip("\n") for line in journal.stdout)
        finally:
            journal.terminate()
