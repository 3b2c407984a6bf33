"""`byoi enroll`: make this machine a node of a console, with a join token."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from byoi_agent.cli.options import choose, debug_option, json_option, setting_options
from byoi_agent.config.lock import StateLock
from byoi_agent.config.paths import prepare
from byoi_agent.errors import ConfigError
from byoi_agent.identity.enrolment import checked_console_url, enrol_with_join_token
from byoi_agent.identity.keys import Identity, fingerprint_of
from byoi_agent.identity.record import read_record
from byoi_agent.identity.stores import stores_for

if TYPE_CHECKING:
    from byoi_agent.cli.options import Chosen

_HOW_TO_JOIN = (
    "a join token is needed: ask the console's administrator for one, then give it with "
    "--join-token-file FILE (- for standard input) or in BYOI_JOIN_TOKEN"
)


@click.command(
    epilog="""\b
Examples:
  BYOI_JOIN_TOKEN=byoi-join-… byoi enroll --console https://console.example
  byoi enroll --console https://console.example --join-token-file token.txt
"""
)
@setting_options("console", "data_dir", "key_store", "ca_file")
@click.option(
    "--join-token-file",
    type=click.Path(allow_dash=True),
    help="File with the join token; - for standard input.  [default: BYOI_JOIN_TOKEN]",
)
@click.option("--replace", is_flag=True, help="Give up the enrolment that is here.")
@json_option
@debug_option
def enroll(join_token_file: str | None, *, replace: bool, as_json: bool, **flags: object) -> None:
    """Make this machine a node of a console.

    The node's key is made here and never leaves this machine; the console gets its public half.
    """
    chosen = choose(flags)
    if chosen.settings.console is None:
        raise click.UsageError("--console URL is needed (or BYOI_CONSOLE)")
    checked_console_url(chosen.settings.console)
    prepare(chosen.paths)
    with StateLock(chosen.paths.lock_file):
        _refuse_second(chosen, replace=replace)
        identity = asyncio.run(_enrol(chosen, _token(join_token_file)))
    _tell(identity, as_json=as_json)


def _refuse_second(chosen: Chosen, *, replace: bool) -> None:
    if replace:
        return
    record = read_record(chosen.paths.identity_file)
    if record is not None:
        raise ConfigError(
            f"this machine is enrolled with {record.console_url} as {record.node_id}; "
            "to give that up, add --replace"
        )


async def _enrol(chosen: Chosen, token: str) -> Identity:
    settings, paths = chosen.settings, chosen.paths
    assert settings.console is not None
    return await enrol_with_join_token(
        settings.console,
        token,
        stores=stores_for(settings, paths, os.environ),
        record_file=paths.identity_file,
        host={
            "name": platform.node(),
            "os": platform.system(),
            "architecture": platform.machine(),
        },
        ca_file=settings.ca_file,
    )


def _token(file: str | None) -> str:
    if file == "-":
        token = sys.stdin.readline()
    elif file is not None:
        token = _from_file(Path(file))
    else:
        token = os.environ.get("BYOI_JOIN_TOKEN", "") or _from_systemd()
    if not (token := token.strip()):
        raise click.UsageError(_HOW_TO_JOIN)
    return token


def _from_file(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from error


def _from_systemd() -> str:
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    file = Path(folder) / "join-token" if folder else None
    return file.read_text(encoding="utf-8") if file is not None and file.is_file() else ""


def _tell(identity: Identity, *, as_json: bool) -> None:
    facts = {
        "node_id": identity.node_id,
        "key_id": identity.key_id,
        "fingerprint": fingerprint_of(identity.key),
        "key_store": identity.key_store,
        "console_url": identity.console_url,
        "origin": identity.origin,
        "console_key_fingerprint": fingerprint_of(identity.console_key),
    }
    if as_json:
        click.echo(json.dumps(facts))
        return
    click.echo(f"Enrolled with {identity.origin} as {identity.node_id}.")
    click.echo(f"  this node's key    {facts['fingerprint']} (in the {identity.key_store} store)")
    click.echo(f"  the console's key  {facts['console_key_fingerprint']}")
    if identity.key_store == "file":
        click.echo(
            "  The key lies in a file that only you can read, as no keyring could take it.",
            err=True,
        )
    click.echo("Next: byoi run")
