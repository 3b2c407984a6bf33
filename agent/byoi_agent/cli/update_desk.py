"""Puts together what an update needs on this machine, from its installation and its settings."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from byoi_agent.cli.update_node import UpdatedNode
from byoi_agent.config.loading import load
from byoi_agent.config.migrations import SETTINGS_SCHEMA
from byoi_agent.config.paths import default_config_file, resolve
from byoi_agent.config.settings import Settings
from byoi_agent.errors import AgentError, ConfigError
from byoi_agent.identity.record import read_record
from byoi_agent.lifecycle.state_schema import OLDEST, STATE_SCHEMA
from byoi_agent.service.choice import launcher_for, meant_scope
from byoi_agent.update.desk import Desk, Present, Terms
from byoi_agent.update.fetching import Fetcher
from byoi_agent.update.index import IndexTrouble
from byoi_agent.update.installers import Debian, Versions
from byoi_agent.update.policy import protocol_number
from byoi_agent.update.programs import rights_of
from byoi_agent.update.staging import ROOT_FILE
from byoi_wire.version import PROTOCOL_VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from byoi_agent.config.installation import Installation
    from byoi_agent.config.paths import Paths
    from byoi_agent.config.update import Update
    from byoi_agent.update.index import Ring
    from byoi_agent.update.installers import Installer

_OTHERS_MAY_WRITE: Final = 0o022


def desk_of(
    installation: Installation,
    folder: Path,
    *,
    ring: Ring | None,
    source: str | None,
    is_now: bool,
) -> tuple[Desk, Update]:
    """The desk, and the owner's terms.

    Raises:
        ConfigError: a setting is wrong, or the installation lacks the keys of the index.
    """
    environment = {**os.environ, **_places(installation)}
    account = None if installation.service is None else installation.service.account
    settings = _settings(environment, account)
    terms, paths = settings.update, resolve(settings, environment)
    may_steer = account is None or _is_roots(environment)
    if not may_steer and (terms.ring, terms.index) != ("stable", None):
        click.echo(
            "byoi: ring and index of the configuration are left out, since the service's account "
            "can write there; give --ring or --from",
            err=True,
        )
    own = (terms.ring, terms.index) if may_steer else ("stable", None)
    place = _url(source or own[1] or installation.index)
    root = b"" if place is None else _root()  # without an index nothing is there to be checked
    installer: Installer = (
        Debian(folder) if installation.kind == "deb" else Versions(installation, folder, root)
    )
    node = UpdatedNode(
        paths=paths,
        environment=environment,
        launcher=launcher_for(meant_scope(installation), paths, environment),
        code_of=installer.environment,
        account=account,
        drain_seconds=0.0 if is_now else terms.drain_minutes * 60,
        proof_seconds=terms.proof_seconds,
        settings_file=default_config_file(None, environment),
        settings_account=None if may_steer else account,
    )
    (folder / "downloads").mkdir(mode=0o700, exist_ok=True)
    desk = Desk(
        kind=installation.kind,
        folder=folder,
        present=Present(
            version=importlib.metadata.version("byoi-agent"),
            node_id=_node_id(paths, account),
            protocol=protocol_number(PROTOCOL_VERSION),
            state_schema=STATE_SCHEMA,
            oldest_state_schema=OLDEST,
            settings_schema=SETTINGS_SCHEMA,
        ),
        terms=Terms(ring or own[0], place, root),
        installer=installer,
        node=node,
        fetcher=Fetcher(folder / "downloads", ca_file=settings.ca_file if may_steer else None),
        wall=time.time,
        tell=_say,
    )
    return desk, terms


def _say(sentence: str) -> None:
    with suppress(OSError):  # the terminal may be gone, which is no reason to go back
        click.echo(sentence, err=True)


def _places(installation: Installation) -> Mapping[str, str]:
    return {} if installation.service is None else installation.service.environment


def _settings(environment: Mapping[str, str], account: str | None) -> Settings:
    """The owner's; a file that is wrong must not keep a mend from being installed."""
    try:
        with rights_of(account):  # it may name by a link what only root may read
            return load({}, environment, default_config_file(None, environment)).values
    except (AgentError, OSError) as error:
        click.echo(f"byoi: {error}; updating as if nothing was set", err=True)
        return Settings()


def _is_roots(environment: Mapping[str, str]) -> bool:
    """Whether nobody but root can write the configuration: what it says may steer root then."""
    file = default_config_file(None, environment)
    if file is None or sys.platform == "win32":
        return True
    try:
        facts = [each.lstat() for each in (file, file.parent)]
    except OSError:
        return False
    return all(each.st_uid == 0 and not each.st_mode & _OTHERS_MAY_WRITE for each in facts)


def _root() -> bytes:
    file = Path(sys.prefix) / ROOT_FILE
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"this installation lacks the keys that updates are checked with ({file}); install "
            "byoi again"
        ) from error


def _node_id(paths: Paths, account: str | None) -> str:
    try:
        with rights_of(account):
            record = read_record(paths.identity_file)
    except (AgentError, OSError):
        record = None
    return platform.node() if record is None else str(record.node_id)


def _url(source: str | None) -> str | None:
    if source is None or source.startswith(("http://", "https://", "file://")):
        return source
    folder = Path(source).absolute()
    if not (folder / "metadata").is_dir():
        raise IndexTrouble(f"{folder} holds no index: there is no folder metadata in it")
    return folder.as_uri()
