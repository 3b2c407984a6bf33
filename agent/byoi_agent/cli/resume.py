"""`byoi resume`: the end of a pause."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from byoi_agent.cli.options import choose_to_ask, debug_option, json_option, setting_options
from byoi_agent.cli.status import ask, find_running
from byoi_agent.control.client import ControlClient

if TYPE_CHECKING:
    from byoi_agent.control.schema import AvailabilityStatus


@click.command()
@setting_options("data_dir")
@json_option
@debug_option
def resume(*, as_json: bool, **flags: object) -> None:
    """End a pause; the node serves as its mode says.

    Without a pause nothing changes.
    """
    for held in ask(find_running(choose_to_ask(flags)), ControlClient.resume):
        click.echo(held.model_dump_json() if as_json else _told(held))


def _told(held: AvailabilityStatus) -> str:
    if held.state == "serve":
        return f"The node takes requests: {held.reason}."
    return f"No pause any more, but not serving yet: {held.reason}."
