"""Who changed what: an append-only log whose rows are chained by their hashes."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import insert, select

from byoi_console.clock import wall_ms
from byoi_console.store.database import hold_lock
from byoi_console.store.tables import audit_log

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Row
    from sqlalchemy.ext.asyncio import AsyncConnection

    from byoi_console.store.database import Database

_START: Final = "0" * 64


@dataclass(frozen=True)
class Change:
    """One thing that somebody did; `details` says what it was before and is now, never a secret."""

    actor: str
    action: str
    subject: str
    org_id: str | None
    details: dict[str, Any]


class AuditLog:
    """Sole writer of the audit log; an entry is part of the transaction that it tells of."""

    def __init__(self, database: Database, *, now_ms: Callable[[], int] = wall_ms) -> None:
        self._database = database
        self._now_ms = now_ms

    async def record(self, connection: AsyncConnection, change: Change) -> None:
        """Append `change` within the caller's transaction: both happen, or neither does."""
        await hold_lock(connection, "byoi_audit")
        newest = select(audit_log.c.seq, audit_log.c.hash).order_by(audit_log.c.seq.desc()).limit(1)
        before = (await connection.execute(newest)).first()
        row = {
            "seq": before.seq + 1 if before else 1,
            "at_ms": self._now_ms(),
            "org_id": change.org_id,
            "actor": change.actor,
            "action": change.action,
            "subject": change.subject,
            "details": json.dumps(change.details, sort_keys=True),
        }
        row["hash"] = _chained(before.hash if before else _START, row)
        await connection.execute(insert(audit_log).values(row))

    async def first_broken(self) -> int | None:
        """The number of the first row that was altered, removed or put in; None if all is well."""
        previous, expected = _START, 1
        async with self._database.read() as connection:
            for row in await connection.execute(select(audit_log).order_by(audit_log.c.seq)):
                if row.seq != expected or row.hash != _chained(previous, _values(row)):
                    return expected
                previous, expected = row.hash, expected + 1
        return None


def _values(row: Row[Any]) -> dict[str, Any]:
    return dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it


def _chained(previous: str, row: dict[str, Any]) -> str:
    told = {name: value for name, value in row.items() if name != "hash"}
    return hashlib.sha256(f"{previous}{json.dumps(told, sort_keys=True)}".encode()).hexdigest()
