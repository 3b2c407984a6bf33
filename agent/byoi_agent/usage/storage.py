"""The usage records in one SQLite file; blocking, so it belongs to one thread of its own."""

from __future__ import annotations

import logging
import os
import sqlite3
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from byoi_agent.config.files import make_private_folder
from byoi_agent.errors import AgentError
from byoi_agent.usage import energy_lines, evidence, report, schema
from byoi_agent.usage.value import NOTHING, Value
from byoi_wire.ids import RecordId
from byoi_wire.usage import SignedRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from byoi_agent.usage.energy_lines import EnergyLine
    from byoi_agent.usage.evidence import Measurement
    from byoi_wire.usage import UsageRecord

logger = logging.getLogger(__name__)

_CORRUPT: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_PRIMARY_CODE: Final = 0xFF  # SQLite's extended codes carry the primary one in the low byte


class StorageUnavailable(AgentError):
    """The disk takes no records now (full, read-only, failing); keep them and try again."""


class Fill(NamedTuple):
    """What waits for the console's acknowledgement."""

    rows: int = 0
    content_bytes: int = 0


class WaitingRecord(NamedTuple):
    """A record that the console has not acknowledged; `sequence` is its place in the file."""

    sequence: int
    record_id: RecordId
    record: SignedRecord


class Entry(NamedTuple):
    """A record as it is written; its value is the owner's, and not part of what is signed."""

    record: UsageRecord
    signed: SignedRecord
    value: Value = NOTHING


class Storage:
    """Sole user of the file. A damaged one is set aside under a name that says so, never erased."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._database: sqlite3.Connection | None = None
        self.fill = Fill()
        self.set_aside: Path | None = None

    def open(self) -> None:
        """Open the file or make it.

        Raises:
            StorageUnavailable: it cannot be opened now.
            SchemaTooNew: a later version of the agent wrote it.
        """
        make_private_folder(self._path.parent)
        with self._unavailable():
            try:
                self._connect()
            except sqlite3.DatabaseError as error:
                if not _is_corrupt(error):
                    raise
                self._set_aside(error)

    def close(self) -> None:
        """Close the file; what was committed is in it."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def insert(self, records: Sequence[Entry]) -> Fill:
        """Write all of them in one transaction; durable on return. A record known already stays.

        Raises:
            StorageUnavailable: none was written.
        """
        if self._database is None:
            self.open()
        with self._unavailable():
            try:
                return self._insert(records)
            except sqlite3.DatabaseError as error:
                if not _is_corrupt(error):
                    raise
                self._roll_back()
                self._set_aside(error)
                return self._insert(records)

    def waiting(self, limit: int, after: int) -> list[WaitingRecord]:
        """The oldest unacknowledged records beyond the place `after`.

        Raises:
            StorageUnavailable: the file cannot be read now.
        """
        with self._unavailable():
            rows = self._opened.execute(_WAITING, (after, limit)).fetchall()
        return [
            WaitingRecord(
                sequence,
                RecordId(request_id, attempt),
                SignedRecord(body=body, key_id=key_id, signature=signature),
            )
            for sequence, request_id, attempt, body, key_id, signature in rows
        ]

    def acknowledge(self, ids: Iterable[RecordId], now: float) -> Fill:
        """Mark as booked by the console; ids that are unknown or marked already are no news.

        Raises:
            StorageUnavailable: none was marked; they will be sent and acknowledged again.
        """
        database = self._opened
        rows, content = self.fill
        with self._unavailable():
            database.execute("BEGIN IMMEDIATE")
            for record_id in ids:
                for (length,) in database.execute(_ACKNOWLEDGE, (now, *record_id)).fetchall():
                    rows -= 1
                    content -= length
            database.execute("COMMIT")
        self.fill = Fill(rows, content)
        return self.fill

    def prune(self, acknowledged_before: float) -> int:
        """Delete what was acknowledged before that Unix time; returns how many.

        Raises:
            StorageUnavailable: nothing was deleted.
        """
        day = datetime.fromtimestamp(acknowledged_before, UTC).date().isoformat()
        with self._unavailable():
            energy_lines.prune(self._opened, day)
            return self._opened.execute(_PRUNE, (acknowledged_before,)).rowcount

    def report(self, chosen: report.UsageFilter) -> report.UsageReport:
        """The owner's figures.

        Raises:
            StorageUnavailable: the file cannot be read now.
        """
        with self._unavailable():
            return report.query(self._opened, chosen)

    def add_energy(self, lines: Iterable[EnergyLine]) -> None:
        """Add energy that is on no record; durable on return.

        Raises:
            StorageUnavailable: none was added.
        """
        with self._unavailable():
            energy_lines.add(self._opened, lines)

    def evidence(self, limit: int) -> list[Measurement]:
        """The newest requests whose energy was measured, oldest of them first.

        Raises:
            StorageUnavailable: the file cannot be read now.
        """
        with self._unavailable():
            return evidence.read(self._opened, limit)

    @contextmanager
    def _unavailable(self) -> Iterator[None]:
        """Translate what SQLite and the disk say; no transaction stays open behind it."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            self._roll_back()
            raise StorageUnavailable(str(error)) from error

    @property
    def _opened(self) -> sqlite3.Connection:
        if self._database is None:
            raise StorageUnavailable("the file is not open")
        return self._database

    def _connect(self) -> None:
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | _NO_FOLLOW, 0o600))
        database = sqlite3.connect(self._path, isolation_level=None, timeout=5.0)
        try:
            database.execute("PRAGMA journal_mode = WAL")
            # In WAL only FULL makes a commit durable against a loss of power.
            database.execute("PRAGMA synchronous = FULL")
            _check_damage(database)
            schema.migrate(database)
            self.fill = Fill(
                *database.execute(
                    "SELECT count(*), coalesce(sum(length(body)), 0) FROM records"
                    " WHERE acknowledged_at IS NULL"
                ).fetchone()
            )
        except BaseException:
            database.close()
            raise
        self._database = database

    def _insert(self, records: Sequence[Entry]) -> Fill:
        database = self._opened
        rows, content = self.fill
        database.execute("BEGIN IMMEDIATE")
        for record, signed, value in records:
            if database.execute(_INSERT, _row(record, signed, value)).rowcount:
                rows += 1
                content += len(signed.body)
            else:
                logger.warning("usage recorded twice", extra={"record": str(record.record_id)})
        database.execute("COMMIT")
        self.fill = Fill(rows, content)
        return self.fill

    def _roll_back(self) -> None:
        # Where the disk failed, SQLite has rolled back by itself and refuses a second time.
        if self._database is not None and self._database.in_transaction:
            with suppress(sqlite3.Error):
                self._database.execute("ROLLBACK")

    def _set_aside(self, error: sqlite3.DatabaseError) -> None:
        self.close()
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
        self.set_aside = self._path.with_name(f"{self._path.name}.damaged-{stamp}")
        for suffix in ("", "-wal", "-shm"):
            part = self._path.with_name(self._path.name + suffix)
            if part.exists():
                part.rename(self.set_aside.with_name(self.set_aside.name + suffix))
        logger.error(
            "usage file damaged and set aside",
            extra={"kept_as": str(self.set_aside), "error": str(error)},
        )
        self._connect()


class _Damaged(sqlite3.DatabaseError):
    """`quick_check` found a fault that no statement has met yet."""

    sqlite_errorcode = sqlite3.SQLITE_CORRUPT


def _check_damage(database: sqlite3.Connection) -> None:
    (verdict,) = database.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise _Damaged(verdict)


_NO_FOLLOW: Final = getattr(os, "O_NOFOLLOW", 0)

_WAITING: Final = """
    SELECT sequence, request_id, attempt, body, key_id, signature FROM records
    WHERE acknowledged_at IS NULL AND sequence > ? ORDER BY sequence LIMIT ?
"""
_ACKNOWLEDGE: Final = """
    UPDATE records SET acknowledged_at = ?
    WHERE request_id = ? AND attempt = ? AND acknowledged_at IS NULL RETURNING length(body)
"""
_PRUNE: Final = "DELETE FROM records WHERE acknowledged_at < ?"
_INSERT: Final = """
    INSERT INTO records (request_id, attempt, day, model, outcome, prompt_tokens,
                         completion_tokens, cached_tokens, body, key_id, signature,
                         microjoules, earned_nano, earned_currency, energy_nano, energy_currency)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (request_id, attempt) DO NOTHING
"""


def _row(record: UsageRecord, signed: SignedRecord, value: Value) -> tuple[object, ...]:
    day = datetime.fromtimestamp(record.started_at_ms / 1000, UTC).date().isoformat()
    usage = record.usage
    return (
        *record.record_id,
        day,
        record.model,
        record.outcome,
        usage.prompt_tokens,
        usage.completion_tokens,
        usage.cached_tokens,
        signed.body,
        signed.key_id,
        signed.signature,
        value.microjoules,
        *((None, None) if value.earned is None else (value.earned.nano, value.earned.currency)),
        *((None, None) if value.energy is None else (value.energy.nano, value.energy.currency)),
    )


def _is_corrupt(error: sqlite3.DatabaseError) -> bool:
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & _PRIMARY_CODE in _CORRUPT
