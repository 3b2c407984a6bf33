"""Bring the database to this version's tables; every start does it, and it is safe to do twice."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy.exc import DatabaseError

from byoi_console.errors import ConfigError
from byoi_console.store.database import hold_lock

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from byoi_console.store.database import Database

_SCRIPTS: Final = Path(__file__).parent / "migrations"


async def migrate(database: Database) -> None:
    """Run every migration that is missing, in one transaction.

    Two processes that start at once wait for each other; the second finds nothing to do.

    Raises:
        ConfigError: this is no database of ours, or one of a later version.
    """
    try:
        async with database.write() as connection:
            await hold_lock(connection, "byoi_migrations")
            await connection.run_sync(_upgrade)
    except CommandError as error:
        raise ConfigError(f"the database was made by a later version: {error}") from error
    except DatabaseError as error:
        raise ConfigError(f"the database cannot be used: {error.orig}") from error


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
