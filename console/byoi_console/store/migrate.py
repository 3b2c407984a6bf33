"""Bring the database to this version's tables; every start does it, and it is safe to do twice."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from alembic import command
from alembic.config import Config

from byoi_console.store.database import hold_lock

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from byoi_console.store.database import Database

_SCRIPTS: Final = Path(__file__).parent / "migrations"


async def migrate(database: Database) -> None:
    """Run every migration that is missing, in one transaction.

    Two processes that start at once wait for each other; the second finds nothing to do.
    """
    async with database.write() as connection:
        await hold_lock(connection, "byoi_migrations")
        await connection.run_sync(_upgrade)


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
