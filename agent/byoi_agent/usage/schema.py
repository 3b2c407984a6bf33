"""The outbox's tables, how an older file is brought up to date, and how a version goes back."""

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
        # What a step back has put away; nothing is there on the first way up.
        """
        CREATE TABLE IF NOT EXISTS kept_values (
            sequence INTEGER PRIMARY KEY, microjoules INTEGER, earned_nano INTEGER,
            earned_currency TEXT, energy_nano INTEGER, energy_currency TEXT
        ) STRICT
        """,
        """
        UPDATE records SET microjoules = kept.microjoules, earned_nano = kept.earned_nano,
            earned_currency = kept.earned_currency, energy_nano = kept.energy_nano,
            energy_currency = kept.energy_currency
        FROM kept_values AS kept WHERE records.sequence = kept.sequence
        """,
        "DROP TABLE kept_values",
        """
        CREATE TABLE IF NOT EXISTS kept_energy (
            day TEXT NOT NULL, model TEXT NOT NULL, kind TEXT NOT NULL, measured_by TEXT NOT NULL,
            currency TEXT NOT NULL, microjoules INTEGER NOT NULL, nano INTEGER NOT NULL
        ) STRICT
        """,
        "INSERT INTO energy SELECT * FROM kept_energy",
        "DROP TABLE kept_energy",
    ),
)
"""One step per version; a released step never changes, a new one is appended."""

_STEPS_BACK: Final[dict[int, tuple[str, ...]]] = {
    2: (
        """
        CREATE TABLE kept_values AS
        SELECT sequence, microjoules, earned_nano, earned_currency, energy_nano, energy_currency
        FROM records WHERE coalesce(microjoules, earned_nano, energy_nano) IS NOT NULL
        """,
        "CREATE TABLE kept_energy AS SELECT * FROM energy",
        "DROP TABLE energy",
        "ALTER TABLE records DROP COLUMN energy_currency",
        "ALTER TABLE records DROP COLUMN energy_nano",
        "ALTER TABLE records DROP COLUMN earned_currency",
        "ALTER TABLE records DROP COLUMN earned_nano",
        "ALTER TABLE records DROP COLUMN microjoules",
    ),
}
"""From each version to the one before, so that an older agent can go on; what that one does not
know is put away in tables of its own, and is there again after the next step up."""

VERSION: Final = len(_MIGRATIONS)

OLDEST: Final = VERSION - len(_STEPS_BACK)
"""How far back a file can be brought."""

ENERGY_VERSION: Final = 2
"""The first one that knows energy and money: a file that is only read may be older."""


class SchemaTooNew(AgentError):
    """A later version of the agent wrote this file; only that one may touch it."""

    exit_code = 78


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
        raise SchemaTooNew(
            f"a later version of byoi wrote the usage file (schema {version}, this one knows "
            f"{VERSION}); nothing was changed. Start the later version again, or have it go back "
            "by itself: byoi update --rollback"
        )


def step_back(connection: sqlite3.Connection, to: int) -> None:
    """Bring the file back to what an older version reads, each step whole or not at all.

    Raises:
        ValueError: there is no way back that far.
    """
    if to < OLDEST:
        raise ValueError(f"schema {to} is older than {OLDEST}, the oldest that can be gone back to")
    while (version := version_of(connection)) > to:
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in _STEPS_BACK[version]:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {version - 1}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def version_of(connection: sqlite3.Connection) -> int:
    """How many steps the file has gone."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])
