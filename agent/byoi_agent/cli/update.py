"""`byoi update`: a newer version that is signed takes this one's place, or comes to nothing."""

from __future__ import annotations

import os
import signal
import time
from datetime import datetime
from typing import TYPE_CHECKING, Final

import click

from byoi_agent.cli.main import EXIT_FAILED
from byoi_agent.cli.options import debug_option, json_option
from byoi_agent.cli.update_view import history, told_of
from byoi_agent.config.installation import read_installation
from byoi_agent.config.windows import holds
from byoi_agent.errors import ConfigError
from byoi_agent.update import machine
from byoi_agent.update.told import read

if TYPE_CHECKING:
    from pathlib import Path

    from byoi_agent.config.installation import Installation
    from byoi_agent.config.update import Update
    from byoi_agent.update.desk import Desk
    from byoi_agent.update.index import Ring
    from byoi_agent.update.told import Entry

_LOOK_AGAIN_SECONDS: Final = 20 * 3600.0
"""The timer comes more often than the index is asked: windows open at any hour."""


@click.command(
    epilog="""\b
Examples:
  sudo byoi update                   to the newest version of the ring
  byoi update --status
  sudo byoi update --check
  sudo byoi update --rollback        back to the version before
  sudo byoi update --from /media/usb/repository --now

What runs may end first; the new version must serve again, or the old one comes back by itself.
Exit code 1 where it came back, 69 where the index cannot be used.
"""
)
@click.option("--check", "is_check", is_flag=True, help="Look for a newer version, and no more.")
@click.option(
    "--status", "is_status", is_flag=True, help="What is known, and what came of updates."
)
@click.option("--to", "version", metavar="VERSION", help="This version, also an older one.")
@click.option("--rollback", "is_rollback", is_flag=True, help="The version before this one.")
@click.option("--resume", "is_resume", is_flag=True, help="Go on with what was broken off.")
@click.option(
    "--unattended",
    "is_unattended",
    is_flag=True,
    help="As the timer does: heed `automatic` and `windows` of [update].",
)
@click.option("--now", "is_now", is_flag=True, help="Do not wait for what runs: it is cut.")
@click.option(
    "--ring",
    envvar="BYOI_UPDATE_RING",
    type=click.Choice(["stable", "beta"]),
    help="Another ring than [update]'s; also BYOI_UPDATE_RING.",
)
@click.option(
    "--from",
    "source",
    envvar="BYOI_UPDATE_INDEX",
    metavar="PLACE",
    help="Another index: a folder, or a URL; also BYOI_UPDATE_INDEX.",
)
@json_option
@debug_option
def update(
    *,
    is_check: bool,
    is_status: bool,
    version: str | None,
    is_rollback: bool,
    is_resume: bool,
    is_unattended: bool,
    is_now: bool,
    ring: Ring | None,
    source: str | None,
    as_json: bool,
) -> int:
    """Replace this byoi by a newer version of the signed index.

    Which version that is, the index alone says: no console can, nor the node's own account.
    """
    asked = [is_check, is_status, version is not None, is_rollback, is_resume, is_unattended]
    if sum(asked) > 1:
        raise click.UsageError(
            "give one of --check, --status, --to, --rollback, --resume, --unattended"
        )
    installation = read_installation()
    if is_status:
        return _shown(installation, as_json=as_json)
    from byoi_agent.cli.update_desk import desk_of  # noqa: PLC0415 only now it is needed
    from byoi_agent.update.desk import alone  # noqa: PLC0415
    from byoi_agent.update.place import usable_folder  # noqa: PLC0415

    folder = usable_folder(installation)
    os.umask(0o022)  # the service's account reads and runs what is installed
    if hasattr(signal, "SIGHUP"):  # a connection that is lost must not stop half-way what is begun
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with alone(folder):
        desk, terms = desk_of(installation, folder, ring=ring, source=source, is_now=is_now)
        # A look is also the node's own child, which would not outlive what it goes on with.
        entry = None if is_check else desk.resume()
        if entry is None and is_unattended and desk.terms.source is None:
            return 0  # the timer is there in any case; an owner who asks is told
        if entry is None and not is_resume:
            if is_rollback:
                entry = desk.back()
            else:
                entry = _update(
                    desk, terms, version, is_check=is_check, is_unattended=is_unattended
                )
    return _ended(installation, entry, as_json=as_json)


def _update(
    desk: Desk, terms: Update, version: str | None, *, is_check: bool, is_unattended: bool
) -> Entry | None:
    """Look, and become another version where nothing speaks against it."""
    now = datetime.now().astimezone()
    is_open = not terms.windows or any(holds(window, now) for window in terms.windows)
    if is_unattended and not _is_due(desk.folder, is_open=is_open and terms.automatic == "on"):
        return None
    offered, no = desk.look(version)
    if no is not None:
        if version not in {None, desk.present.version}:
            raise ConfigError(f"{version} is not installed: {no.reason}")
        return None
    if is_check:
        return None
    if is_unattended and terms.automatic == "off":
        desk.hold("updates are not automatic here; to install it: byoi update")
        return None
    if is_unattended and not is_open:
        desk.hold("it waits for a window of [update]")
        return None
    return desk.become(offered.version)


def _is_due(folder: Path, *, is_open: bool) -> bool:
    known = read(folder)
    if known is None or known.checked_at is None:
        return True
    age = time.time() - known.checked_at
    may_install = is_open and known.available is not None
    return may_install or not 0 <= age < _LOOK_AGAIN_SECONDS


def _shown(installation: Installation, *, as_json: bool) -> int:
    told = told_of(installation)
    if as_json:
        click.echo(told.model_dump_json())
        return 0
    click.echo(told.sentence)
    for line in history(told):
        click.echo(line)
    return 0


def _ended(installation: Installation, entry: Entry | None, *, as_json: bool) -> int:
    is_done = entry is not None and entry.outcome == machine.DONE
    told = told_of(installation, entry.new if entry is not None and is_done else None)
    if as_json:
        click.echo(told.model_dump_json())
    elif entry is None:
        click.echo(told.sentence)
    else:
        click.echo(_words(entry))
    return EXIT_FAILED if entry is not None and not is_done else 0


def _words(entry: Entry) -> str:
    match entry.outcome:
        case machine.DONE:
            return f"{entry.new} is installed and has proved itself; {entry.old} is kept."
        case machine.TAKEN_BACK:
            return f"{entry.new} was taken back, {entry.old} runs again: {entry.reason}."
        case machine.POSTPONED:
            return f"{entry.new} was not installed, {entry.old} goes on: {entry.reason}."
        case _:
            return (
                f"{entry.new} failed, and {entry.old} could not be put back: {entry.reason}. "
                "Mend that, then: byoi update --resume"
            )
