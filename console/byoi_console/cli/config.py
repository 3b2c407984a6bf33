"""`byoi-console config`: which settings count, where each comes from, and whether they will do."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Final

import click

from byoi_console.cli.options import setting_options
from byoi_console.config import load_with_sources, variable_of
from byoi_console.gateway.tls import Certificate

if TYPE_CHECKING:
    from byoi_console.config import LoadedSettings

_PASSWORD: Final = re.compile(r"(://[^:/@]*:)[^@]*@")


@click.group()
def config() -> None:
    """The settings of this console."""


@config.command()
@setting_options()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def show(*, as_json: bool, **flags: object) -> None:
    """Print every setting, its value and where that comes from; passwords stay hidden."""
    loaded = load_with_sources(flags, os.environ)
    rows = [(name, _shown(loaded, name), loaded.sources[name]) for name in loaded.sources]
    if as_json:
        told = {name: {"value": value, "source": source} for name, value, source in rows}
        click.echo(json.dumps({"file": _file(loaded), "settings": told}))
        return
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for name, value, source in rows:
        where = {"environment": variable_of(name), "file": _file(loaded)}.get(source, source)
        click.echo(f"{name:{widths[0]}}  {value:{widths[1]}}  {where}".rstrip())


@config.command()
@setting_options()
def check(**flags: object) -> None:
    """Say whether the settings can be used, without starting anything."""
    loaded = load_with_sources(flags, os.environ)
    settings = loaded.values
    if settings.tls_cert is not None and settings.tls_key is not None:
        Certificate(settings.tls_cert, settings.tls_key)
    if settings.database_url_file is not None:
        _ = settings.database  # reads the file
    click.echo(f"the settings can be used ({_file(loaded) or 'no settings file'})")


def _file(loaded: LoadedSettings) -> str:
    return "" if loaded.file is None else str(loaded.file)


def _shown(loaded: LoadedSettings, name: str) -> str:
    value = getattr(loaded.values, name)
    if isinstance(value, tuple):
        return ",".join(value)
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else _PASSWORD.sub(r"\1…@", str(value))
