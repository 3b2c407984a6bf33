"""One database for all rooms: SQLite by default, PostgreSQL by its URL, the same SQL for both."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import event, func, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from byoi_console.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy import URL, Connection
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.ext.asyncio import AsyncConnection

BUSY_TIMEOUT_MS: Final = 10_000
"""How long a writer waits for another process's transaction before SQLite says "locked"."""


class Database:
    """Owner of the connections. Reads run side by side; writes of one process queue up here.

    On SQLite a write transaction takes the file's write lock at its start (BEGIN IMMEDIATE): a
    transaction that reads first and writes later could otherwise find itself on an old snapshot,
    which no busy timeout mends. The queue in front keeps our own writers from spending the
    timeout on one another; it only meets other processes (`byoi-console admin …`).
    """

    def __init__(self, url: str) -> None:
        try:
            parsed = make_url(url)
        except (ArgumentError, ValueError) as error:  # the latter for what is no port
            raise ConfigError("database_url: not a database URL") from error
        if parsed.get_backend_name() == "sqlite":
            _make_private_file(parsed)
        self._engine: AsyncEngine = _engine_for(parsed)
        self._write_turn = asyncio.Lock()
        if parsed.get_backend_name() == "sqlite":
            event.listen(self._engine.sync_engine, "connect", _prepare_sqlite)
            event.listen(self._engine.sync_engine, "begin", _begin_sqlite)

    @property
    def file(self) -> Path | None:
        """Where SQLite keeps it; None for a database that a server of its own keeps."""
        url = self._engine.url
        is_file = url.get_backend_name() == "sqlite" and url.database
        return Path(url.database) if is_file and url.database else None

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A connection with one consistent snapshot, for SELECTs only."""
        async with self._engine.connect() as connection:
            yield connection

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """A transaction, committed when the block ends, rolled back when it raises."""
        async with self._write_turn, self._engine.connect() as connection:
            await connection.execution_options(byoi_writes=True)
            async with connection.begin():
                yield connection

    async def close(self) -> None:
        """Give every connection back; nothing can be read or written afterwards."""
        await self._engine.dispose()


async def hold_lock(connection: AsyncConnection, name: str) -> None:
    """Until this transaction ends, no other one holds `name`, on any replica.

    SQLite needs nothing: a writing transaction is the only one there is.
    """
    if connection.dialect.name == "postgresql":
        await connection.execute(select(func.pg_advisory_xact_lock(func.hashtext(name))))


def _engine_for(url: URL) -> AsyncEngine:
    try:
        # What a statement carries may be a secret: no error's text repeats it.
        return create_async_engine(url, hide_parameters=True)
    except ImportError as error:
        raise ConfigError(
            f"database_url: {url.drivername} needs the Python package {error.name!r}; "
            "install it beside byoi-console"
        ) from error
    except SQLAlchemyError as error:
        raise ConfigError(f"database_url: {url.drivername} cannot be used here") from error


def _make_private_file(url: URL) -> None:
    """SQLite's log and shared-memory files take over the mode of the database file."""
    if not url.database or url.database == ":memory:":
        raise ConfigError("database_url: SQLite needs a file, so that several connections see it")
    path = Path(url.database)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise ConfigError(f"data_dir: cannot write {path}: {error.strerror}") from error


def _prepare_sqlite(connection: DBAPIConnection, _record: object) -> None:
    # The driver must not open transactions by itself, or BEGIN IMMEDIATE comes too late.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS:d}")
    cursor.execute("PRAGMA journal_mode = WAL")
    # In WAL only FULL makes a commit durable when the power fails.
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("byoi_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
