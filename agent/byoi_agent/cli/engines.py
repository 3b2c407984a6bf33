"""`byoi engines`: which engines are installed, and which of them serves."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from byoi_agent.cli.elsewhere import node_elsewhere
from byoi_agent.cli.engine_sleep import sleep, wake
from byoi_agent.cli.options import (
    choose,
    debug_option,
    json_option,
    place_of,
    setting_options,
    width_of,
)
from byoi_agent.config.edit import set_value
from byoi_agent.config.settings import variable_of
from byoi_agent.demo.talk import talk_for
from byoi_agent.engine.address import EngineAddress
from byoi_agent.engine.inventory import Inventory, Offer, UnknownEngine
from byoi_agent.errors import AgentError, ConfigError
from byoi_agent.sizes import on_disk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from byoi_agent.cli.options import Chosen
    from byoi_agent.control.client import ControlClient


@click.group()
def engines() -> None:
    """List, install and remove the engines that byoi starts itself, and choose between them."""


engines.add_command(sleep)
engines.add_command(wake)


@engines.command(name="list")
@setting_options("data_dir", "cache_dir")
@json_option
@debug_option
def list_(*, as_json: bool, **flags: object) -> None:
    """Show the engines there are: installed, in use, or why they cannot run on this machine."""
    chosen = choose(flags)
    rows = asyncio.run(_inventory(chosen).rows())
    if as_json:
        click.echo(json.dumps({"engines": [asdict(row) for row in rows]}))
    else:
        _table(rows)


@engines.command(
    epilog="""\b
Examples:
  byoi engines install vllm
  byoi engines install vllm@0.32.0 --yes
"""
)
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@setting_options("data_dir", "cache_dir")
@json_option
@debug_option
def install(name: str, *, yes: bool, as_json: bool, **flags: object) -> None:
    """Install NAME or NAME@VERSION, checked against the hashes that this byoi holds."""
    inventory = _inventory(choose(flags))
    with _told_as_usage():
        offer = inventory.offer(name)
    if offer.provenance is not None and not inventory.is_installed(offer):
        _ask_leave(offer, offer.provenance, yes=yes)
    talk = talk_for(quiet=as_json)
    try:
        asyncio.run(inventory.install(offer, talk.progress))
    finally:
        talk.settle()
    if as_json:
        click.echo(json.dumps({"engine": offer.setting, "version": offer.version}))
    else:
        rest = f"; to serve with it: byoi engines use {offer.setting}"
        if inventory.is_chosen(offer):
            rest = ", and chosen already"
        click.echo(f"{offer.title} is installed{rest}")


@engines.command()
@click.argument("name")
@setting_options("data_dir", "cache_dir")
@json_option
@debug_option
def remove(name: str, *, as_json: bool, **flags: object) -> None:
    """Remove NAME or NAME@VERSION from the disk; refused while a node runs it."""
    inventory = _inventory(choose(flags))
    with _told_as_usage():
        removed = asyncio.run(inventory.remove(name))
    if as_json:
        click.echo(json.dumps({"removed": [f"{one.name} {one.version}" for one in removed]}))
        return
    for one in removed:
        click.echo(f"{one.name} {one.version} is removed")
    if not removed:
        click.echo("what an install that did not end had left is removed")


@engines.command()
@click.argument("name")
@setting_options("data_dir", "cache_dir")
@json_option
@debug_option
def use(name: str, *, as_json: bool, **flags: object) -> None:
    """Serve with NAME, NAME@VERSION or the server at a URL from now on.

    Written into the configuration file; a running node takes it over by `byoi reload`.
    """
    chosen = choose(flags)
    with _told_as_usage():
        offer = _offer_or_server(name, _inventory(chosen))
    if (node := node_elsewhere(chosen)) is not None:
        _use_there(node, name if offer is None else offer.setting, as_json=as_json)
        return
    if offer is not None and offer.needs_install and not _inventory(chosen).is_installed(offer):
        raise AgentError(f"{offer.title} is not installed; first: byoi engines install {name}")
    file = place_of(flags)
    name = name if offer is None else offer.setting
    set_value(file, "engine", name)
    source = choose(flags).loaded.sources["engine"]
    if as_json:
        click.echo(json.dumps({"engine": name, "file": str(file), "holds": source == "file"}))
        return
    click.echo(f'{file}: engine = "{name}"; a running node takes it over by: byoi reload')
    if source != "file":
        click.echo(f"byoi: {variable_of('engine')} is set and wins over the file", err=True)


def _use_there(node: ControlClient, name: str, *, as_json: bool) -> None:
    """A node of another account writes it into its own file, and takes it over where it can."""
    change, file = node.put_setting("engine", name), node.config().file or ""
    if as_json:
        holds = change.overruled_by is None
        click.echo(json.dumps({"engine": name, "file": file, "holds": holds}))
        return
    when = "at its next start" if "engine" in change.reloaded.at_restart else "now"
    click.echo(f'{file}: engine = "{name}"; the running node takes it over {when}')


@contextmanager
def _told_as_usage() -> Iterator[None]:
    """A wrong NAME is a wrong command line, and not a setting that is wrong."""
    try:
        yield
    except UnknownEngine as error:
        raise click.UsageError(str(error)) from error


def _offer_or_server(name: str, inventory: Inventory) -> Offer | None:
    """None for the address of a server that runs already."""
    if "://" not in name:
        return inventory.offer(name)
    try:
        EngineAddress.parse(name)
    except ConfigError as error:
        raise UnknownEngine(str(error)) from error
    return None


def _inventory(chosen: Chosen) -> Inventory:
    return Inventory(chosen.paths.engines_folder, in_settings=chosen.settings.engine)


def _ask_leave(offer: Offer, provenance: str, *, yes: bool) -> None:
    """Say whose build it is, and go on only with the owner's word.

    Raises:
        AgentError: nobody is there to ask, or the answer was no.
    """
    click.echo(provenance, err=True)
    if yes:
        return
    if not sys.stdin.isatty():
        raise AgentError(f"to install it all the same: byoi engines install {offer.setting} --yes")
    if not click.confirm(f"Install {offer.title} all the same?", err=True):
        raise AgentError("nothing was installed")


def _table(rows: list[Offer]) -> None:
    from rich.console import Console  # noqa: PLC0415 programs ask for JSON and never pay for it
    from rich.table import Table  # noqa: PLC0415

    table = Table("engine", "version", "build", "state", "size", box=None)
    for row in rows:
        size = row.installed_bytes or row.download_bytes
        told = "" if size is None else on_disk(size)
        table.add_row(row.name, row.version, row.build, _state(row), told)
    Console(file=sys.stdout, highlight=False, markup=False, width=width_of(sys.stdout)).print(table)


def _state(row: Offer) -> str:
    if row.installed_bytes is not None:
        return "installed, chosen" if row.is_chosen else "installed"
    if row.obstacle is not None:
        return f"not for this machine: {row.obstacle}"
    return "chosen, to be downloaded" if row.is_chosen else "can be installed"
