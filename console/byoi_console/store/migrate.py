"""Bring the database to this version's tables; every start does it, and it is safe to do twice."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy.exc import DatabaseError, OperationalError

from byoi_console.errors import ConfigError
from byoi_console.store.database import hold_lock

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from byoi_console.store.database import Database

PATIENCE_SECONDS: Final = 300.0
"""How long another process may take over its migration before ours gives up."""

_SCRIPTS: Final = Path(__file__).parent / "migrations"


async def migrate(database: Database) -> None:
    """Run every migration that is missing, in one transaction.

    Processes that start at once wait for one another, and the later ones find nothing to do. On a
    busy machine the first may need longer than SQLite's own patience, which is meant for single
    writes; so the wait is repeated. A database that is as it should be is only read.

    Raises:
        ConfigError: this is no database of ours, or one of a later version.
    """
    deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
    try:
        while not await _is_done(database, deadline):
            pass
    except CommandError as error:
        raise ConfigError(f"the database was made by a later version: {error}") from error
    except DatabaseError as error:
        raise ConfigError(f"the database cannot be used: {error.orig}") from error


async def _is_done(database: Database, deadline: float) -> bool:
    """One attempt; False: another process was writing all the while."""
    try:
        async with database.read() as connection:
            if await connection.run_sync(_is_current):
                return True
        async with database.write() as connection:
            await hold_lock(connection, "byoi_migrations")
            await connection.run_sync(_upgrade)
    except OperationalError as error:
        if not _is_busy(error) or asyncio.get_running_loop().time() >= deadline:
            raise
        return False
    return True


def _is_busy(error: OperationalError) -> bool:
    return getattr(error.orig, "sqlite_errorname", "").startswith("SQLITE_BUSY")


def _is_current(connection: Connection) -> bool:
    newest = ScriptDirectory.from_config(_config()).get_current_head()
    return MigrationContext.configure(connection).get_current_revision() == newest


def _upgrade(connection: Connection) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    return config
