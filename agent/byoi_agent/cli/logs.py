"""`byoi logs`: what the node wrote down, from its file or from the journal of its unit."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import subprocess
import time
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

_LOOK_SECONDS: Final = 0.2
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

    How much is logged is --log-level of byoi run.
    """
    wanted = LogFilter(
        least=logging.getLevelNamesMapping()[(level or "debug").upper()],
        since=None if since is None else time.time() - since,
        room=room,
        words=words,
    )
    for line in _lines(choose_to_ask(flags), lines, wanted.passes, follow=follow):
        click.echo(line if as_json else human_line(line))


def _lines(
    chosen: Chosen, count: int, is_wanted: Callable[[str], bool], *, follow: bool
) -> Iterator[str]:
    place = _place(chosen)
    if place.unit is not None:
        yield from filter(is_wanted, _from_journal(place, count, follow=follow))
        return
    if place.file is None:
        raise AgentError(
            "the node writes its log to standard error alone; byoi run --log-file auto keeps it"
        )
    file = Path(place.file)
    if not file.exists() and not follow:
        raise AgentError(
            f"nothing has been logged to {file} yet; "
            "the lines of a node that systemd runs are in its journal: journalctl -u byoi"
        )
    end = size_of(file)
    yield from newest(file, count, is_wanted, to_bytes=end)
    if follow:
        coming = lines_from_now(file, lambda: time.sleep(_LOOK_SECONDS), from_bytes=end)
        yield from filter(is_wanted, coming)


def _place(chosen: Chosen) -> LogStatus:
    """As the running node says; where none runs, where it would write."""
    found = find(chosen.paths, os.environ, is_named=chosen.is_data_dir_named)
    for node in found.nodes[:1]:
        with contextlib.suppress(NodeUnreachable):
            if (log := node.client.status().log) is not None:
                return log
    setting = chosen.settings.log_file
    usual = setting in {"auto", "none"}
    return LogStatus(file=str(chosen.paths.log_file if usual else Path(setting).absolute()))


def _from_journal(place: LogStatus, count: int, *, follow: bool) -> Iterator[str]:
    program = shutil.which("journalctl")
    if program is None:
        raise AgentError("the lines are in the system's journal, and there is no journalctl here")
    unit = "--user-unit" if place.is_users else "--unit"
    argv = [program, f"{unit}={place.unit}", f"--lines={count}", "--output=cat", "--no-pager"]
    with subprocess.Popen(  # noqa: S603 our own words and the unit that the node told
        [*argv, *(["--follow"] if follow else [])], stdout=subprocess.PIPE, text=True
    ) as journal:
        assert journal.stdout is not None, "a pipe was asked for"
        try:
            for line in journal.stdout:
                yield line.rstrip("\n")
        finally:
            journal.terminate()
