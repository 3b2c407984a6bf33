"""`byoi devices`: what this machine computes with, and how it is."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import click

from byoi_agent.cli.main import EXIT_UNAVAILABLE
from byoi_agent.cli.options import debug_option, json_option, width_of
from byoi_agent.errors import AgentError
from byoi_agent.hardware.probers import machine_probe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

    from byoi_agent.hardware.devices import DeviceReading, ProbeReading

LOOK_SECONDS: Final = 1.0


class DevicesUnreadable(AgentError):
    """A driver, or one of its devices, does not answer; what does is shown all the same."""

    exit_code = EXIT_UNAVAILABLE


@click.command(
    epilog="""\b
Examples:
  byoi devices
  byoi devices --watch
  byoi devices --json | jq '.[] | {name, memory_free_bytes}'

With --json: a list, one object for each device; what a device does not report is null. One that is
there and does not answer has a "problem" and no figures.

Exit code 69: something cannot be read; a sentence on standard error says what to do, and whatever
can be read is shown.
"""
)
@click.option("-w", "--watch", "is_watching", is_flag=True, help="Go on until Ctrl-C.")
@json_option
@debug_option
def devices(*, is_watching: bool, as_json: bool) -> None:
    """Show the accelerators of this machine; its processor where there is none.

    Needs no running node. With --watch and --json: one list on each line.
    """
    if is_watching:
        _watch(as_json=as_json)
        return
    reading = machine_probe().now()
    if as_json:
        click.echo(_as_json(reading))
    else:
        _print(reading)
    if reading.problem is not None:
        sys.stdout.flush()
        raise DevicesUnreadable(f"{reading.problem}; {reading.mend}")


def listed(reading: ProbeReading) -> list[DeviceReading]:
    """All that are there, also those that do not answer, in the order of their numbers."""
    return sorted((*reading.devices, *reading.lost), key=lambda device: device.index)


def _as_json(reading: ProbeReading) -> str:
    return json.dumps([asdict(device) for device in listed(reading)], allow_nan=False)


def _print(reading: ProbeReading) -> None:
    from rich.console import Console  # noqa: PLC0415 programs ask for JSON and never pay for it

    console = Console(file=sys.stdout, highlight=False, width=width_of(sys.stdout))
    console.print(_drawn(reading))


def _drawn(reading: ProbeReading, *, with_problem: bool = False) -> RenderableType:
    from byoi_agent.cli.devices_view import devices_view  # noqa: PLC0415 it needs rich, see above
    from byoi_agent.hardware.host import read_surroundings  # noqa: PLC0415 people alone see it

    problem = f"{reading.problem}; {reading.mend}" if with_problem and reading.problem else None
    return devices_view(listed(reading), read_surroundings(), problem)


def _watch(*, as_json: bool) -> None:
    """Until Ctrl-C: redraw in a terminal, else one look after the other."""
    if not as_json and sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        _redraw()
        return
    told: str | None = None
    for reading in _looks():
        if reading.problem != told:
            told = reading.problem
            words = f"{told}; {reading.mend}" if told else "all devices answer again"
            click.echo(f"byoi: {words}", err=True)
        if as_json:
            click.echo(_as_json(reading))
        else:
            _print(reading)
        sys.stdout.flush()


def _redraw() -> None:
    from rich.console import Console  # noqa: PLC0415 programs ask for JSON and never pay for it
    from rich.live import Live  # noqa: PLC0415

    console = Console(file=sys.stdout, highlight=False)
    last: RenderableType | None = None
    try:
        with Live(console=console, auto_refresh=False, screen=True) as live:
            for reading in _looks():
                last = _drawn(reading, with_problem=True)
                live.update(last, refresh=True)
    finally:
        if last is not None:
            console.print(last)


def _looks() -> Iterator[ProbeReading]:
    probe = machine_probe()
    while True:
        yield probe.now()
        time.sleep(LOOK_SECONDS)
