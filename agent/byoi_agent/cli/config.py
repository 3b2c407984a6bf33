"""`byoi config`: which settings hold and why, and whether a file of them is right."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import click

from byoi_agent.cli.config_engines import engine_in_environment, with_engines
from byoi_agent.cli.config_set import edit, schema, set_, unset
from byoi_agent.cli.elsewhere import node_elsewhere
from byoi_agent.cli.main import EXIT_CONFIG
from byoi_agent.cli.options import (
    choose,
    debug_option,
    json_option,
    place_of,
    setting_options,
    width_of,
)
from byoi_agent.config.check import problems_in_environment, problems_of
from byoi_agent.config.settings import LIVE, Settings, shown, variable_of


@click.group()
def config() -> None:
    """Show the settings, change them, check them, or say where their file is."""


for _command in (set_, unset, edit, schema):
    config.add_command(_command)


@config.command()
@setting_options("data_dir")
@json_option
@debug_option
def show(*, as_json: bool, **flags: object) -> None:
    """Show each setting's value and who set it; secrets stay hidden.

    A running node of another account, like a system service, is asked for its own.
    """
    chosen = choose(flags)
    if (node := node_elsewhere(chosen)) is not None:
        report = node.config()
        file = report.file
        rows = [one.model_dump(include={"name", "value", "source"}) for one in report.settings]
    else:
        loaded = chosen.loaded
        file = None if loaded.file is None else str(loaded.file)
        rows = [
            {
                "name": name,
                "value": shown(name, getattr(loaded.values, name)),
                "source": loaded.sources[name],
            }
            for name in Settings.model_fields
        ]
    if as_json:
        click.echo(json.dumps({"file": file, "settings": rows}))
    else:
        _table(rows, file)


@config.command(
    epilog="""\b
Examples:
  byoi config check
  byoi config check /etc/byoi/config.toml && systemctl reload byoi
"""
)
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@setting_options("data_dir")
@json_option
@debug_option
def check(file: Path | None, *, as_json: bool, **flags: object) -> int:
    """Tell everything that is wrong with FILE, or with what byoi run would read.

    Without FILE the BYOI_ variables are checked too. Exit code 78 where anything is wrong.
    """
    environment: tuple[str, ...] = ()
    if file is None:
        environment = problems_in_environment(os.environ)
        # A name that is none is told by the first; of a version that nobody has it knows nothing.
        environment = environment or engine_in_environment(os.environ)
    place = file or place_of(flags)
    is_there = file is not None or place.exists() or bool(os.environ.get("BYOI_CONFIG"))
    in_file = with_engines(place, problems_of(place)) if is_there else ()
    if as_json:
        problems = [{"line": found.line, "text": found.text} for found in in_file]
        problems += [{"line": None, "text": text} for text in environment]
        click.echo(json.dumps({"file": str(place) if is_there else None, "problems": problems}))
    else:
        for found in in_file:
            click.echo(found.told(place), err=True)
        for text in environment:
            click.echo(f"byoi: {text}", err=True)
    if in_file or environment:
        return EXIT_CONFIG
    if not as_json:
        click.echo(f"{place}: no mistake found" if is_there else f"there is no {place}: defaults")
    return 0


@config.command()
@setting_options("data_dir")
@json_option
@debug_option
def path(*, as_json: bool, **flags: object) -> None:
    """Show where the configuration file is, or would be."""
    file = place_of(flags)
    told = json.dumps({"file": str(file), "exists": file.is_file()})
    click.echo(told if as_json else file)


def _table(rows: list[dict[str, object]], file: str | None) -> None:
    from rich.console import Console  # noqa: PLC0415 programs ask for JSON and never pay for it
    from rich.table import Table  # noqa: PLC0415

    table = Table("setting", box=None)
    table.add_column("value", overflow="fold")
    table.add_column("set by", overflow="fold")
    table.add_column("changes at")
    for row in rows:
        name, source = str(row["name"]), str(row["source"])
        value = "" if row["value"] is None else str(row["value"])
        place = {"environment": variable_of(name), "file": str(file)}.get(source, source)
        table.add_row(name, value, place, "reload" if name in LIVE else "restart")
    Console(file=sys.stdout, highlight=False, markup=False, width=width_of(sys.stdout)).print(table)
