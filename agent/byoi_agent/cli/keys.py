"""`byoi keys`: which keys this node has had, where they lie, and a new one."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from byoi_agent.cli.keys_seal import seal, unseal
from byoi_agent.cli.options import (
    choose,
    debug_option,
    json_option,
    setting_options,
    width_of,
)
from byoi_agent.clock import SystemClock
from byoi_agent.config.lock import StateLock
from byoi_agent.config.paths import prepare
from byoi_agent.control.instances import find
from byoi_agent.control.key_list import list_of
from byoi_agent.control.schema import KeyChange
from byoi_agent.errors import AgentError, IdentityError
from byoi_agent.identity.console_http import ConsoleHttp, checked_console_url
from byoi_agent.identity.enrolment import load_identity
from byoi_agent.identity.keys import fingerprint_of
from byoi_agent.identity.record import EnrolmentRecord, read_record
from byoi_agent.identity.rotation import KeyRotation
from byoi_agent.identity.stores import stores_for
from byoi_wire.fingerprint import spoken

if TYPE_CHECKING:
    from byoi_agent.cli.options import Chosen
    from byoi_agent.control.client import ControlClient
    from byoi_agent.control.key_list import KeyList


@click.group(invoke_without_command=True)
@setting_options("data_dir")
@json_option
@debug_option
@click.pass_context
def keys(context: click.Context, /, *, as_json: bool, **flags: object) -> None:
    """Show this node's keys: the present one, the next one, and those of former days.

    Of former keys only the public half is kept, which proves old receipts.
    """
    if context.invoked_subcommand is not None:
        return
    found = _listed(choose(flags))
    if as_json:
        click.echo(found.model_dump_json())
        return
    _show(found)
    if found.hint is not None:
        click.echo(f"\n{found.hint}")


@keys.command(
    epilog="""\b
Examples:
  byoi keys rotate
  byoi keys rotate --key-store file
"""
)
@setting_options("console", "data_dir", "key_store", "ca_file")
@json_option
@debug_option
def rotate(*, as_json: bool, **flags: object) -> None:
    """Give the node a new key.

    The present key signs it. A running node goes over to it without losing a request, and its own
    settings say where the key is kept; else the next `byoi run` begins with it.
    """
    chosen = choose(flags)
    running = _running(chosen)
    change = _rotate_here(chosen) if running is None else running.rotate_key()
    if as_json:
        click.echo(change.model_dump_json())
    else:
        _tell(change)
    # The key is new whether or not an older node can list its keys.
    with suppress(AgentError):
        if (hint := _listed(chosen).hint) is not None:
            click.echo(f"byoi: {hint}", err=True)


keys.add_command(seal)
keys.add_command(unseal)


def _listed(chosen: Chosen) -> KeyList:
    """From the record where this user has it, else from the node that is meant."""
    named = "BYOI_CONTROL_URL" in os.environ
    record = None if named else read_record(chosen.paths.identity_file)
    if record is None and (running := _running(chosen)) is not None:
        return running.keys()
    return list_of(record or _record(chosen), chosen.paths)


def _running(chosen: Chosen) -> ControlClient | None:
    """The node that is meant and runs; a demo is asked for nobody's keys."""
    found = find(chosen.paths, os.environ, is_named=chosen.is_data_dir_named)
    return found.nodes[0].client if found.nodes and found.found_by != "demo" else None


def _rotate_here(chosen: Chosen) -> KeyChange:
    """Without a running node: all but the link."""
    settings, paths, clock = chosen.settings, chosen.paths, SystemClock()
    record = _record(chosen)
    stores = stores_for(settings, paths, os.environ)
    prepare(paths)
    with StateLock(paths.lock_file):
        rotation = KeyRotation(
            paths.identity_file,
            stores,
            ConsoleHttp(
                checked_console_url(settings.console or record.console_url), settings.ca_file
            ),
            now_ms=lambda: round(clock.wall() * 1000),
        )
        try:
            new = asyncio.run(rotation.prepare(load_identity(paths.identity_file, stores)))
        finally:
            rotation.close()
    return KeyChange(
        key_id=new.key_id,
        fingerprint=spoken(fingerprint_of(new.key)),
        key_store=new.key_store,
        is_in_use=False,
    )


def _record(chosen: Chosen) -> EnrolmentRecord:
    record = read_record(chosen.paths.identity_file)
    if record is None:
        raise IdentityError("this machine is not enrolled; run: byoi enroll --console URL")
    return record


def _tell(change: KeyChange) -> None:
    click.echo(
        f"The console knows the new key {change.fingerprint} (in the {change.key_store} store)."
    )
    if change.is_in_use:
        click.echo("The node serves with it; the old one is good for nothing any more.")
    else:
        click.echo("It takes over when the node connects next; until then the old one holds.")


def _show(found: KeyList) -> None:
    from rich.console import Console  # noqa: PLC0415 programs ask for JSON and never pay for it
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415 a path in brackets is no mark-up

    table = Table(box=None)
    for title in ("key", "state", "private half", "since", "until", "id"):
        table.add_column(title, overflow="fold")
    for row in found.keys:
        cells = (row.fingerprint, row.state, row.place, row.since, row.until, row.key_id)
        table.add_row(*(Text(cell or "-") for cell in cells))
    Console(file=sys.stdout, highlight=False, width=width_of(sys.stdout)).print(table)
