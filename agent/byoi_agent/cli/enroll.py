"""`byoi enroll`: make this machine a node of a console, by a person's approval or a join token."""

from __future__ import annotations

import asyncio
import importlib.metadata
import json
import os
import platform
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from byoi_agent.cli.approval import ForPeople, ForPrograms, browser_for
from byoi_agent.cli.options import choose, debug_option, json_option, setting_options
from byoi_agent.clock import SystemClock
from byoi_agent.config.installation import read_installation
from byoi_agent.config.lock import StateLock
from byoi_agent.config.paths import prepare
from byoi_agent.errors import ConfigError
from byoi_agent.hardware.host import read_host
from byoi_agent.hardware.probers import machine_probe
from byoi_agent.identity.console_http import ConsoleHttp, checked_console_url
from byoi_agent.identity.credential_store import credential
from byoi_agent.identity.device import DeviceFlow
from byoi_agent.identity.enrolment import JoinToken
from byoi_agent.identity.host_id import sign_of
from byoi_agent.identity.keys import fingerprint_of
from byoi_agent.identity.membership import admit
from byoi_agent.identity.record import read_record
from byoi_agent.identity.stores import stores_for
from byoi_agent.usage.leftovers import give_up
from byoi_wire.fingerprint import spoken

if TYPE_CHECKING:
    from byoi_agent.cli.approval import Screen
    from byoi_agent.cli.options import Chosen
    from byoi_agent.config.paths import Paths
    from byoi_agent.identity.membership import Enrolled
    from byoi_agent.identity.record import EnrolmentRecord

_GPU_SECONDS: Final = 5.0
_ENDINGS: Final = ("SIGTERM", "SIGHUP")


@click.command(
    epilog="""\b
Examples:
  byoi enroll --console https://console.example
  BYOI_JOIN_TOKEN=byoi-join-… byoi enroll --console https://console.example
  byoi enroll --console https://console.example --join-token-file token.txt
"""
)
@setting_options("console", "data_dir", "key_store", "ca_file")
@click.option(
    "--join-token-file",
    type=click.Path(allow_dash=True),
    help="File with a join token; - for standard input.  [default: BYOI_JOIN_TOKEN]",
)
@click.option("--no-browser", is_flag=True, help="Open no browser; the address is shown anyway.")
@click.option(
    "--replace",
    is_flag=True,
    help="Give up the enrolment that is here; without --console, for one with the same.",
)
@json_option
@debug_option
def enroll(
    join_token_file: str | None,
    *,
    no_browser: bool,
    replace: bool,
    as_json: bool,
    **flags: object,
) -> None:
    """Make this machine a node of a console.

    Shows a code for a person to approve in the console; with a join token nobody needs to. The
    node's key is made here and never leaves this machine; the console gets its public half.
    """
    chosen = choose(flags)
    # Said before the lock is taken, as the node of a former enrolment may run and hold it.
    former = _previous(chosen, replace=replace)
    console = chosen.settings.console or (None if former is None else former.console_url)
    if console is None:
        raise click.UsageError("--console URL is needed (or BYOI_CONSOLE)")
    base = checked_console_url(console)
    prepare(chosen.paths)
    token = _token(join_token_file)
    screen: Screen = ForPrograms()
    if not as_json:
        browser = browser_for(os.environ, is_wanted=not no_browser)
        screen = ForPeople(base, SystemClock(), open_browser=browser)
    with StateLock(chosen.paths.lock_file):
        previous = _previous(chosen, replace=replace)
        enrolled = asyncio.run(_until_told_to_end(chosen, base, token, screen))
        if previous is not None and previous.node_id != enrolled.identity.node_id:
            _give_up_usage(chosen, previous)
    _tell(enrolled, as_json=as_json)


def _previous(chosen: Chosen, *, replace: bool) -> EnrolmentRecord | None:
    record = read_record(chosen.paths.identity_file)
    if record is not None and not replace:
        raise ConfigError(
            f"this machine is enrolled with {record.console_url} as {record.node_id}; "
            "to give that up, add --replace"
        )
    return record


def _give_up_usage(chosen: Chosen, previous: EnrolmentRecord) -> None:
    if count := give_up(chosen.paths.outbox_file, time.time()):
        click.echo(
            f"byoi: {count} usage records of {previous.node_id} were never booked and are not "
            "sent any more; byoi usage still shows them",
            err=True,
        )


async def _until_told_to_end(
    chosen: Chosen, base: str, token: str | None, screen: Screen
) -> Enrolled:
    """Enrol; told to end, also by a terminal that is closed, leave no key behind.

    But one that the console may have admitted by a join token: the same again asks with it.
    """
    task = asyncio.current_task()
    assert task is not None
    for name in _ENDINGS:
        with suppress(AttributeError, NotImplementedError):  # Windows has neither
            asyncio.get_running_loop().add_signal_handler(getattr(signal, name), task.cancel)
    try:
        return await _enrol(chosen, base, token, screen)
    except asyncio.CancelledError:
        raise click.Abort from None


async def _enrol(chosen: Chosen, base: str, token: str | None, screen: Screen) -> Enrolled:
    settings, paths, clock = chosen.settings, chosen.paths, SystemClock()
    http = ConsoleHttp(base, settings.ca_file)
    host = await _host(paths)
    ask = (
        DeviceFlow(http, host, sign_of(base), clock=clock, audience=screen)
        if token is None
        else JoinToken(http, token, host, sign_of(base), clock=clock)
    )
    async with asyncio.TaskGroup() as tasks:
        shown = tasks.create_task(screen.run(), name="screen")
        try:
            return await admit(
                base,
                ask,
                stores=stores_for(settings, paths, os.environ),
                record_file=paths.identity_file,
                attempt_file=paths.attempt_file,
                now_ms=round(clock.wall() * 1000),
            )
        finally:
            shown.cancel()


async def _host(paths: Paths) -> dict[str, Any]:
    """What the person who approves sees of this machine."""
    names: list[str] = []
    with suppress(TimeoutError):
        async with asyncio.timeout(_GPU_SECONDS):
            found = (await machine_probe().read()).devices
            names = [device.name for device in found if device.kind != "cpu"]
    machine = read_host(paths.cache)
    return {
        "name": platform.node(),
        "os": machine.os,
        "architecture": machine.architecture,
        "gpus": names,
        "agent_version": importlib.metadata.version("byoi-agent"),
    }


def _token(file: str | None) -> str | None:
    """The join token; None where none was given, so that a person must approve."""
    if file is None:
        return (os.environ.get("BYOI_JOIN_TOKEN", "") or _from_systemd()).strip() or None
    token = sys.stdin.readline() if file == "-" else _from_file(Path(file))
    if not (token := token.strip()):
        raise click.UsageError(f"there is no join token in {file}")
    return token


def _from_file(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from error


def _from_systemd() -> str:
    file = credential(os.environ, "join-token")
    return "" if file is None else _from_file(file)


def _tell(enrolled: Enrolled, *, as_json: bool) -> None:
    identity, record, passed_over = enrolled
    facts = {
        "event": "enrolled",
        "node_id": identity.node_id,
        "name": record.name,
        "organisation": record.organisation,
        "visibility": record.visibility,
        "mode": record.mode,
        "key_id": identity.key_id,
        "fingerprint": spoken(record.fingerprint),
        "key_store": identity.key_store,
        "console_url": identity.console_url,
        "origin": identity.origin,
        "console_key_fingerprint": spoken(fingerprint_of(identity.console_key)),
    }
    if as_json:
        click.echo(json.dumps(facts))
        return
    name = f" ({record.name})" if record.name else ""
    click.echo(f"Enrolled with {identity.origin} as {identity.node_id}{name}.")
    for title, value in (
        ("organisation", record.organisation),
        ("seen by", record.visibility and _SEEN_BY.get(record.visibility, record.visibility)),
        ("serves", record.mode and _SERVES.get(record.mode, record.mode)),
        ("this node's key", f"{facts['fingerprint']} (in the {identity.key_store} store)"),
        ("the console's key", facts["console_key_fingerprint"]),
    ):
        if value:
            click.echo(f"  {title:<17}  {value}")
    if identity.key_store == "file":
        reason = f": {passed_over[-1]}" if passed_over else ""
        click.echo(f"  The key lies in a file that only you can read{reason}.", err=True)
    click.echo(f"Next: {_next()}")


def _next() -> str:
    """A machine's service is started by the enrolment itself."""
    if read_installation().service is None:
        return "byoi run"
    return "byoi status, as the service starts by itself now"


# Chosen is not done: what this version does not do yet is kept for one that does.
_SEEN_BY: Final = {
    "org": "your organisation",
    "community": "your organisation (the community is chosen; this version does not serve it yet)",
}
_SERVES: Final = {
    "dedicated": "always",
    "idle": "while nobody uses this machine (byoi mode changes it)",
}
