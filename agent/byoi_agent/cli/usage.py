"""`byoi usage`: what this node has served, what it took and what it earned."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from byoi_agent.cli.options import (
    choose_to_ask,
    debug_option,
    json_option,
    setting_options,
    width_of,
)
from byoi_agent.config.paths import outbox_file
from byoi_agent.control.client import NodeUnreachable
from byoi_agent.control.instances import find
from byoi_agent.control.schema import UsageTable, usage_table
from byoi_agent.usage.report import UsageFilter, read_report

if TYPE_CHECKING:
    from pathlib import Path

    from byoi_agent.cli.options import Chosen
    from byoi_agent.control.instances import Instance

_DAY = click.DateTime(["%Y-%m-%d"])


@click.command(
    epilog="""\b
Examples:
  byoi usage
  byoi usage --since 2026-11-01 --until 2026-11-30
  byoi usage --json | jq .balance.net

With --json: rows, totals, energy and balance; money is an object by currency, and what was not
measured is null.
"""
)
@setting_options("data_dir")
@click.option("--since", type=_DAY, help="First day, in UTC.")
@click.option("--until", type=_DAY, help="Last day, in UTC.")
@click.option("--model", help="This model only.")
@json_option
@debug_option
def usage(
    since: object, until: object, model: str | None, *, as_json: bool, **flags: object
) -> None:
    """Show requests and tokens, what they took and earned, by day and model.

    Asks the running node, as `byoi status` does; where none runs, reads its file. Money is at the
    owner's own [prices] and [tariff], as they were when each request ran.
    """
    named = {"since": since, "until": until}
    days = {name: str(day)[:10] for name, day in named.items() if day is not None}
    table = _read(choose_to_ask(flags), UsageFilter(**days, model=model))
    if as_json:
        click.echo(table.model_dump_json())
    else:
        _show(table)


def _read(chosen: Chosen, wanted: UsageFilter) -> UsageTable:
    found = find(chosen.paths, os.environ, is_named=chosen.is_data_dir_named)
    if not found.nodes:
        return _from_file(chosen.paths.state, wanted)
    tables = [_ask(node, wanted) for node in found.nodes]
    if found.found_by == "demo":
        count = len(tables)
        words = "the node" if count == 1 else f"the sum of {count} nodes"
        click.echo(f"byoi: {words} of the running demo", err=True)
    return usage_table(tables)


def _ask(node: Instance, wanted: UsageFilter) -> UsageTable:
    try:
        return node.client.usage(wanted)
    except NodeUnreachable:
        if node.state_dir is None:
            raise
        return _from_file(node.state_dir, wanted)  # it has ended, its records have not


def _from_file(state_dir: Path, wanted: UsageFilter) -> UsageTable:
    file = outbox_file(state_dir)
    if not file.exists():
        click.echo(f"byoi: nothing has been served from {state_dir} yet", err=True)
        return UsageTable()
    return usage_table([read_report(file, wanted)])


def _show(table: UsageTable) -> None:
    from rich.console import Console  # noqa: PLC0415 programs ask for JSON and never pay for it

    from byoi_agent.cli.usage_view import usage_view  # noqa: PLC0415

    console = Console(file=sys.stdout, highlight=False, width=width_of(sys.stdout))
    console.print(usage_view(table))
