"""The outbox's tables and how an older file is brought up to date."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from byoi_agent.errors import AgentError

if TYPE_CHECKING:
    import sqlite3

_MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        """
        CREATE TABLE records (
            sequence INTEGER PRIMARY KEY,
            request_id TEXT NOT NULL,
            attempt INTEGER NOT NULL,
            day TEXT NOT NULL,
            model TEXT NOT NULL,
            outcome TEXT NOT NULL,
            prompt_tokens INTEGER NOT NULL,
            completion_tokens INTEGER NOT NULL,
            cached_tokens INTEGER NOT NULL,
            body TEXT NOT NULL,
            key_id TEXT NOT NULL,
            signature TEXT NOT NULL,
            acknowledged_at REAL,
            UNIQUE (request_id, attempt)
        ) STRICT
        """,
        "CREATE INDEX records_waiting ON records (sequence) WHERE acknowledged_at IS NULL",
        "CREATE INDEX records_by_day ON records (day, model, outcome)",
        """
        CREATE INDEX records_acknowledged ON records (acknowledged_at)
        WHERE acknowledged_at IS NOT NULL
        """,
    ),
    (
        # Money in billionths, energy in millionths; NULL where it was not measured or not priced.
        "ALTER TABLE records ADD COLUMN microjoules INTEGER",
        "ALTER TABLE records ADD COLUMN earned_nano INTEGER",
        "ALTER TABLE records ADD COLUMN earned_currency TEXT",
        "ALTER TABLE records ADD COLUMN energy_nano INTEGER",
        "ALTER TABLE records ADD COLUMN energy_currency TEXT",
        """
        CREATE TABLE energy (
            day TEXT NOT NULL,
            model TEXT NOT NULL,
            kind TEXT NOT NULL,
            measured_by TEXT NOT NULL,
            currency TEXT NOT NULL,
            microjoules INTEGER NOT NULL,
            nano INTEGER NOT NULL,
            PRIMARY KEY (day, model, kind, measured_by, currency)
        ) STRICT, WITHOUT ROWID
        """,
    ),
)
"""One step per version; a released step never changes, a new one is appended."""

VERSION: Final = len(_MIGRATIONS)

ENERGY_VERSION: Final = 2
"""The first one that knows energy and money: a file that is only read may be older."""


class SchemaTooNew(AgentError):
    """A later version of the agent wrote this file; only that one may touch it."""


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the file to this version, each step whole or not at all.

    Raises:
        SchemaTooNew: the file is from a later version.
    """
    while (version := version_of(connection)) < VERSION:
        connection.execute("BEGIN IMMEDIATE")
        try:
            # Another process may have gone the step while this one waited for the lock.
            if version_of(connection) == version:
                for statement in _MIGRATIONS[version]:
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {version + 1}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    if version > VERSION:
        raise SchemaTooNew(f"schema {version}, this version knows {VERSION}")


def version_of(connection: sqlite3.Connection) -> int:
    """How many steps the file has gone."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])
