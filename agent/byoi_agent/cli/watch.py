"""`byoi status --watch`: the status again and again, also beyond the node's restart."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Final

import click

from byoi_agent.cli.options import width_of
from byoi_agent.control.client import NodeUnreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rich.console import RenderableType

    from byoi_agent.control.schema import StatusReport

LOOK_SECONDS: Final = 1.0
WAITING: Final = "waiting for the node…"

Look = list["StatusReport"] | NodeUnreachable


def watch(ask: Callable[[], list[StatusReport]], *, as_json: bool) -> None:
    """Until Ctrl-C: redraw in a terminal, else write what has changed."""
    looks = _looks(ask)
    if as_json:
        _write_json(looks)
    elif sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        _redraw(looks)
    else:
        _write_text(looks)


def _looks(ask: Callable[[], list[StatusReport]]) -> Iterator[Look]:
    while True:
        try:
            yield ask()
        except NodeUnreachable as silence:
            yield silence
        time.sleep(LOOK_SECONDS)


def _redraw(looks: Iterable[Look]) -> None:
    from rich.console import Console  # noqa: PLC0415 programs ask for JSON and never pay for it
    from rich.live import Live  # noqa: PLC0415

    console = Console(file=sys.stdout, highlight=False)
    last: RenderableType | None = None
    try:
        # On a screen of its own: what does not fit, or was folded for another width, would
        # otherwise scroll out at the top again and again.
        with Live(console=console, auto_refresh=False, screen=True) as live:
            for look in looks:
                last = _drawn(look)
                live.update(last, refresh=True)
    finally:
        if last is not None:
            console.print(last)


def _write_text(looks: Iterable[Look]) -> None:
    from rich.console import Console  # noqa: PLC0415 programs ask for JSON and never pay for it

    console = Console(file=sys.stdout, highlight=False, width=width_of(sys.stdout))
    for look in _changes(looks):
        console.print(_drawn(look))
        sys.stdout.flush()


def _write_json(looks: Iterable[Look]) -> None:
    for look in _changes(looks):
        if isinstance(look, NodeUnreachable):
            click.echo(json.dumps({"is_reachable": False, "reason": str(look)}))
            continue
        shown = [report.model_dump(mode="json") for report in look]
        click.echo(json.dumps(shown[0] if len(shown) == 1 else {"nodes": shown}))


def _changes(looks: Iterable[Look]) -> Iterator[Look]:
    """Those that differ from the one before in more than the time that has passed."""
    before: object = None
    for look in looks:
        if (now := _timeless(look)) != before:
            before = now
            yield look


def _timeless(look: Look) -> object:
    if isinstance(look, NodeUnreachable):
        return str(look)
    return [report.model_copy(update={"uptime_seconds": 0.0}) for report in look]


def _drawn(look: Look) -> RenderableType:
    from rich.console import Group  # noqa: PLC0415 programs ask for JSON and never pay for it
    from rich.text import Text  # noqa: PLC0415

    from byoi_agent.cli.status_view import status_view  # noqa: PLC0415

    if isinstance(look, NodeUnreachable):
        return Text(f"{WAITING}\n{look}", style="dim")
    return Group(*(status_view(report) for report in look))
