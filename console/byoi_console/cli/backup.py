"""`byoi-console backup` and `restore`: everything that a console is, in one file and back."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from byoi_console.cli.options import setting_options
from byoi_console.config import CONFIG_FILE, load
from byoi_console.errors import BackupFailed, ConfigError
from byoi_console.store.backup import (
    DATABASE,
    Origin,
    back_up,
    check_database,
    sync_folder,
    unpacked,
)
from byoi_console.store.database import Database
from byoi_console.store.lock import serving_from
from byoi_console.store.migrate import migrate

if TYPE_CHECKING:
    from byoi_console.config import Settings

_LOCK: Final = f"{DATABASE}.lock"


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@setting_options("data_dir", "database_url", "database_url_file")
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
def backup(file: Path, *, force: bool, **flags: object) -> None:
    """Write everything that this console is into FILE; it may serve meanwhile.

    FILE holds the console's own key and every person's password hash: keep it as safe as the
    console itself. Only its owner can read it.
    """
    settings = load(flags, os.environ)
    database = _database_file(settings)
    if file.exists() and not force:
        raise BackupFailed(f"{file} is there already; choose another name, or give --force")
    if not file.absolute().parent.is_dir():
        raise BackupFailed(f"there is no folder {file.absolute().parent}")
    settings_file = settings.data_dir / CONFIG_FILE
    beside = {CONFIG_FILE: settings_file} if settings_file.is_file() else {}
    origin = Origin(version("byoi-console"), datetime.now(UTC).isoformat(timespec="seconds"))
    manifest = back_up(database, beside, file.absolute(), origin)
    size = sum(member.bytes for member in manifest.members.values())
    click.echo(f"{file}  {size / 1e6:.1f} MB  {', '.join(manifest.members)}")


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="The folder to restore into; it may not be there yet.",
)
@click.option("--force", is_flag=True, help="Replace the console that lies there.")
def restore(file: Path, *, data_dir: Path, force: bool) -> None:
    """Make a console in --data-dir out of a backup.

    It keeps its key, so that nodes come back by themselves, its API keys, people and ledger. A
    backup of an earlier version is brought to this one's tables.
    """
    if data_dir.is_dir() and not force:
        there = sorted(path.name for path in data_dir.iterdir() if path.name != _LOCK)
        if there:
            raise BackupFailed(
                f"{data_dir} is not empty ({', '.join(there[:3])}); choose another --data-dir, or "
                "give --force to replace the console in it"
            )
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--data-dir: cannot make {data_dir}: {error.strerror}") from error
    target = data_dir / DATABASE
    with serving_from(target), unpacked(file, data_dir) as (manifest, folder):
        copy = folder / DATABASE
        if not copy.is_file():
            raise BackupFailed(f"{file} holds no {DATABASE}")
        check_database(copy)
        asyncio.run(_to_this_version(f"sqlite+aiosqlite:///{copy.absolute()}"))
        _put_in_place(folder, data_dir)
    click.echo(f"restored into {data_dir}: made {manifest.made_at} by {manifest.version}")
    click.echo(f"start it with  byoi-console serve --data-dir {data_dir}")


def _database_file(settings: Settings) -> Path:
    if settings.database_url is None and settings.database_url_file is None:
        return settings.data_dir.absolute() / DATABASE
    if not settings.database.startswith("sqlite"):
        raise ConfigError(
            "this console keeps its state in a database server: back that up with its own tool "
            "(for PostgreSQL `pg_dump --format=custom`, and `pg_restore` to put it back)"
        )
    return Path(settings.database.partition(":///")[2])


async def _to_this_version(url: str) -> None:
    database = Database(url)
    try:
        await migrate(database)
    finally:
        await database.close()


def _put_in_place(folder: Path, data_dir: Path) -> None:
    """Files take their places; the log of a former database first goes, for it is not theirs."""
    for suffix in ("-wal", "-shm"):
        (data_dir / f"{DATABASE}{suffix}").unlink(missing_ok=True)
    (folder / DATABASE).replace(data_dir / DATABASE)
    if (folder / CONFIG_FILE).is_file():
        (folder / CONFIG_FILE).replace(data_dir / CONFIG_FILE)
    sync_folder(data_dir)
