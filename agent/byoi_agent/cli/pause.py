"""`byoi pause`: the machine is its owner's now."""

from __future__ import annotations

import time
from datetime import datetime
from typing import TYPE_CHECKING

import click

from byoi_agent.cli.durations import ClockTime, Duration, moment, seconds_until
from byoi_agent.cli.options import choose_to_ask, debug_option, json_option, setting_options
from byoi_agent.cli.status import ask, find_running

if TYPE_CHECKING:
    from byoi_agent.control.schema import AvailabilityStatus


@click.command(
    epilog="Examples: byoi pause; byoi pause --for 2h; byoi pause --until 18:30 --finish"
)
@click.option("--for", "seconds", type=Duration(), help="So long: 90m, 2h, 1h30m, 2d.")
@click.option("--until", type=ClockTime(), help="Until the clock shows this: 18:30.")
@click.option("--finish", is_flag=True, help="Let running requests end before the memory is freed.")
@setting_options("data_dir")
@json_option
@debug_option
def pause(
    *,
    seconds: float | None,
    until: tuple[int, int] | None,
    finish: bool,
    as_json: bool,
    **flags: object,
) -> None:
    """Stop serving and give the GPUs' memory back, until `byoi resume` or for a time.

    What runs is handed to another node at once. The pause outlives a restart of the node; a second
    one takes the first one's place.
    """
    if seconds is not None and until is not None:
        raise click.UsageError("--for and --until say the same in two ways; give one of them")
    if until is not None:
        seconds = seconds_until(until, datetime.now().astimezone())
    found = find_running(choose_to_ask(flags))
    for held in ask(found, lambda client: client.pause(seconds, finish=finish)):
        click.echo(held.model_dump_json() if as_json else _told(held, finish=finish))


def _told(held: AvailabilityStatus, *, finish: bool) -> str:
    end = "until byoi resume"
    if held.paused_until is not None:
        end = f"until {moment(held.paused_until, time.time())}; earlier: byoi resume"
    what = "what runs may end first" if finish else "the machine is yours at once"
    return f"Paused {end}. Nothing new is taken, {what}."
