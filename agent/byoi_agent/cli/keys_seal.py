"""`byoi keys seal` and `unseal`: the service's key in a credential that only this machine opens."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import click

from byoi_agent.cli.options import debug_option, json_option
from byoi_agent.config.installation import read_installation
from byoi_agent.config.loading import load
from byoi_agent.config.paths import default_config_file, resolve
from byoi_agent.control.schema import KeyChange
from byoi_agent.errors import ConfigError
from byoi_agent.identity.sealed_file import SealedFile
from byoi_agent.identity.sealing import Sealing
from byoi_agent.service.choice import launcher_for
from byoi_agent.service.doing import carry_out, output_of
from byoi_agent.service.launcher import Run
from byoi_agent.service.units import AGENT, PATH, version_of
from byoi_agent.update.programs import rights_of
from byoi_wire.fingerprint import spoken

if TYPE_CHECKING:
    from byoi_agent.identity.record import EnrolmentRecord
    from byoi_agent.service.launcher import Launcher

_SINCE: Final = 252
"""The first systemd that looks in /etc/credstore.encrypted (systemd.exec(5))."""

_IN_THE_UNIT: Final = "LoadCredentialEncrypted=device-key:byoi.device-key"


@click.command(
    epilog="""\b
Examples:
  sudo byoi keys seal
  sudo byoi keys unseal   the way back, before this system is moved to another machine
"""
)
@json_option
@debug_option
def seal(*, as_json: bool) -> None:
    """Move the service's key from its file into a credential of systemd.

    It is sealed to this machine, by its TPM where it has one: a backup or a stolen disk does not
    hold it. The service starts anew with it, and requests end first; the file goes when the service
    has the key. Where anything fails, the key is where it was.
    """
    before = _sealing("credential")
    _tell(before, before.seal(), "is sealed to this machine, and its file is gone", as_json=as_json)


@click.command(epilog="\b\nExamples:\n  sudo byoi keys unseal")
@json_option
@debug_option
def unseal(*, as_json: bool) -> None:
    """Move the service's key from the credential back into a file.

    Only its account can read the file. For a key that is to move to other hardware, or before the
    TPM is cleared.
    """
    before = _sealing("file")
    _tell(before, before.unseal(), "lies in a file again", as_json=as_json)


@dataclass(frozen=True)
class SystemsNode:
    """The machine's service, as its launcher starts and stops it."""

    launcher: Launcher

    def is_running(self) -> bool:
        """See `Service`."""
        return self.launcher.status().state in {"running", "starting"}

    def restart(self) -> None:
        """See `Service`."""
        carry_out(self.launcher.restart())

    def stop(self) -> None:
        """See `Service`."""
        carry_out(self.launcher.stop())

    def start(self) -> None:
        """See `Service`."""
        carry_out(self.launcher.start())

    def is_watched(self) -> bool:
        """See `Service`."""
        return output_of(("systemctl", "is-active", PATH)).strip() == "active"

    def watch(self) -> None:
        """See `Service`."""
        carry_out([Run(("systemctl", "start", PATH), f"look at: systemctl status {PATH}")])


def _sealing(to: str) -> Sealing:
    """What is needed, once it is clear that it can be done here.

    Raises:
        ConfigError: it cannot; the message says what to type.
    """
    service = read_installation().service
    if sys.platform != "linux" or service is None:
        raise ConfigError(
            "only the key of a machine's service can be sealed, under systemd; this byoi is no "
            "such service (one user's key goes to the keyring: see byoi keys)"
        )
    if not _is_root():
        verb = "seal" if to == "credential" else "unseal"
        raise ConfigError(f"a key is sealed by root; type: sudo byoi keys {verb}")
    environment = {**os.environ, **service.environment}
    as_account = partial(rights_of, service.account)
    with as_account():  # the file may name by a link what only root may read
        settings = load({}, environment, default_config_file(None, environment)).values
    if settings.key_store not in {"auto", to}:
        raise ConfigError(
            f"the setting key_store = {settings.key_store!r} leaves no other place; "
            "type: sudo byoi config set key_store auto"
        )
    _check_systemd()
    paths = resolve(settings, environment)
    return Sealing(
        sealed=SealedFile(),
        paths=paths,
        service=SystemsNode(launcher_for("system", paths, environment)),
        as_account=as_account,
        monotonic=time.monotonic,
        pause=time.sleep,
    )


def _is_root() -> bool:
    if sys.platform == "win32":
        return False
    return os.geteuid() == 0


def _check_systemd() -> None:
    if (version := version_of(output_of(("systemctl", "--version")))) < _SINCE:
        raise ConfigError(
            f"systemd {version} is too old for sealed keys, which need {_SINCE} or newer; "
            "the key stays in its file"
        )
    if _IN_THE_UNIT not in output_of(("systemctl", "cat", AGENT)):
        raise ConfigError(
            f"{AGENT} does not take the credential: it lacks the line {_IN_THE_UNIT}; put it below "
            f"[Service]: systemctl edit {AGENT}"
        )


def _tell(sealing: Sealing, record: EnrolmentRecord, words: str, *, as_json: bool) -> None:
    change = KeyChange(
        key_id=record.key_id,
        fingerprint=spoken(record.fingerprint),
        key_store=record.key_store,
        is_in_use=sealing.service.is_running(),
    )
    if as_json:
        click.echo(change.model_dump_json())
        return
    click.echo(f"The key {change.fingerprint} {words}.")
    if not change.is_in_use:
        click.echo("The service is not running; it has the key when it starts.")
