"""`byoi mode`: when the node serves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from byoi_agent.cli.options import choose_to_ask, debug_option, json_option, setting_options
from byoi_agent.cli.status import ask, find_running
from byoi_agent.errors import AgentError

if TYPE_CHECKING:
    from byoi_agent.control.client import ControlClient
    from byoi_agent.control.schema import AvailabilityStatus

SOURCES: Final = {
    "switch": "switched by byoi mode; back: byoi mode default",
    "setting": "from the settings",
    "enrolment": "as chosen at the enrolment",
    "default": "nobody has chosen another",
}

_STATES: Final = {
    "serve": "takes requests",
    "drain": "takes nothing new, what runs may end",
    "yield": "the machine is yours",
}


@click.command(
    epilog="Examples: byoi mode; byoi mode idle; byoi mode default. Windows: byoi schedule"
)
@click.argument(
    "chosen", required=False, type=click.Choice(["idle", "dedicated", "scheduled", "default"])
)
@setting_options("data_dir")
@json_option
@debug_option
def mode(*, chosen: str | None, as_json: bool, **flags: object) -> None:
    """Show when the node serves, or choose it.

    dedicated: always. idle: only while nobody uses the machine. scheduled: in the windows of the
    schedule. default: as the settings or the enrolment say. The choice outlives a restart; a
    setting that is changed later is newer and wins.
    """
    found = find_running(choose_to_ask(flags))

    def question(client: ControlClient) -> AvailabilityStatus:
        if chosen is not None:
            return client.choose_mode(None if chosen == "default" else chosen)
        held = client.status().availability
        if held is None:
            raise AgentError("the node is too old to tell; restart it: byoi run")
        return held

    for held in ask(found, question):
        click.echo(held.model_dump_json() if as_json else _told(held))


def _told(held: AvailabilityStatus) -> str:
    source = SOURCES.get(held.mode_source, held.mode_source)
    return f"{held.mode} ({source}): {_STATES.get(held.state, held.state)}, {held.reason}"
