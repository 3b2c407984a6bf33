"""`byoi keys`: which keys this node has had, where they lie, and a new one."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

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
from byoi_agent.config.installation import read_installation
from byoi_agent.config.lock import StateLock
from byoi_agent.config.paths import key_place, prepare
from byoi_agent.control.instances import find
from byoi_agent.control.schema import KeyChange
from byoi_agent.errors import IdentityError
from byoi_agent.identity.console_http import ConsoleHttp, checked_console_url
from byoi_agent.identity.enrolment import load_identity
from byoi_agent.identity.keys import fingerprint_of
from byoi_agent.identity.record import EnrolmentRecord, read_record
from byoi_agent.identity.rotation import KeyRotation
from byoi_agent.identity.stores import stores_for
from byoi_wire.fingerprint import spoken

if TYPE_CHECKING:
    from byoi_agent.cli.options import Chosen
    from byoi_agent.config.paths import Paths


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
    chosen = choose(flags)
    record = _record(chosen)
    rows, hint = rows_of(record, chosen.paths), seal_hint(record, chosen.paths)
    if as_json:
        click.echo(json.dumps({"node_id": record.node_id, "keys": rows, "hint": hint}))
        return
    _show(rows)
    if hint is not None:
        click.echo(f"\n{hint}")


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
    found = find(chosen.paths, os.environ, is_named=chosen.is_data_dir_named)
    if found.nodes and found.found_by != "demo":
        change = found.nodes[0].client.rotate_key()
    else:
        change = _rotate_here(chosen)
    if as_json:
        click.echo(change.model_dump_json())
    else:
        _tell(change)
    record = read_record(chosen.paths.identity_file)
    hint = None if record is None else seal_hint(record, chosen.paths)
    if hint is not None:
        click.echo(f"byoi: {hint}", err=True)


keys.add_command(seal)
keys.add_command(unseal)


def rows_of(record: EnrolmentRecord, paths: Paths) -> list[dict[str, Any]]:
    """Every key, the present one first; times as ISO 8601 in UTC."""
    present = {
        "key_id": record.key_id,
        "fingerprint": spoken(record.fingerprint),
        "state": "present",
        "place": key_place(record.key_store, paths),
        "since": _moment(record.key_since_ms),
        "until": None,
    }
    rows = [present]
    if (new := record.pending) is not None:
        rows.append(
            {
                "key_id": new.key_id,
                "fingerprint": spoken(new.fingerprint),
                "state": "next" if new.key_id else "unfinished",
                "place": key_place(new.key_store, paths) if new.key_store else None,
                "since": _moment(new.since_ms),
                "until": None,
            }
        )
    rows += [
        {
            "key_id": old.key_id,
            "fingerprint": spoken(old.fingerprint),
            "state": "retired",
            "place": key_place(old.key_store, paths) if old.key_store else None,
            "since": _moment(old.since_ms),
            "until": _moment(old.retired_at_ms),
        }
        for old in reversed(record.retired)
    ]
    return rows


def seal_hint(record: EnrolmentRecord, paths: Paths) -> str | None:
    """What to do about a credential that still holds a key of former days."""
    sealed_before = any(old.key_store == "credential" for old in record.retired)
    is_leaving = record.pending is not None and record.key_store == "credential"
    if not sealed_before and not is_leaving:
        return None
    new = record.pending if is_leaving and record.pending is not None else record
    if new.key_store != "file":
        return "The credential device-key holds a key of former days; take it out of the unit."
    if (service := read_installation().service) is not None and service.state == paths.state:
        return (
            "The credential device-key cannot be written by the service and holds a key of former "
            "days. Seal the new one, once the node serves with it: sudo byoi keys seal"
        )
    file = paths.keys_folder / f"{new.fingerprint}.key"
    return (
        "The credential device-key cannot be written by the service and holds a key of former "
        "days. Seal the new one: systemd-creds encrypt --name=device-key "
        f"{file} /etc/credstore.encrypted/byoi.device-key; restart the service; then delete {file}"
    )


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


def _show(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console  # noqa: PLC0415 programs ask for JSON and never pay for it
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415 a path in brackets is no mark-up

    table = Table(box=None)
    for title in ("key", "state", "private half", "since", "until", "id"):
        table.add_column(title, overflow="fold")
    for row in rows:
        cells = ("fingerprint", "state", "place", "since", "until", "key_id")
        table.add_row(*(Text(row[cell] or "-") for cell in cells))
    Console(file=sys.stdout, highlight=False, width=width_of(sys.stdout)).print(table)


def _moment(unix_ms: int | None) -> str | None:
    if unix_ms is None:
        return None
    return datetime.fromtimestamp(unix_ms // 1000, UTC).isoformat().replace("+00:00", "Z")
