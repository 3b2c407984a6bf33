"""`byoi reload`: have the running node read its settings again."""

from __future__ import annotations

import click

from byoi_agent.cli.options import choose_to_ask, debug_option, json_option, setting_options
from byoi_agent.cli.status import ask, find_running
from byoi_agent.control.client import ControlClient


@click.command()
@setting_options("data_dir")
@json_option
@debug_option
def reload(*, as_json: bool, **flags: object) -> None:
    """Have the running node read its settings again; nothing that it serves is cut.

    SIGHUP does the same. Wrong settings change nothing. byoi config show tells which settings
    can change in a running node.
    """
    for report in ask(find_running(choose_to_ask(flags)), ControlClient.reload):
        if as_json:
            click.echo(report.model_dump_json())
            continue
        changed = ", ".join(report.now)
        click.echo(f"Changed: {changed}." if changed else "Nothing has changed.")
        if report.at_restart:
            click.echo(f"Needs a restart: {', '.join(report.at_restart)}.")
