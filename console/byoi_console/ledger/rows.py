"""Rows of the ledger in the database: found by their record ids, settled, written."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import bindparam, delete, insert, select, tuple_, update

from byoi_console.ledger.entries import (
    Claim,
    Count,
    Posting,
    count_of_posting,
    count_of_record,
)
from byoi_console.ledger.policy import settle
from byoi_console.store.tables import console_state, ledger_rows
from byoi_wire.ids import RecordId

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection

    from byoi_console.ledger.tickets import TicketFacts

_Values = dict[str, Any]
_BLANK: Final[_Values] = dict.fromkeys(ledger_rows.c.keys())
_KEY: Final = ("request_id", "attempt")
_JOULES_LIMIT: Final = 1e10
"""A hundred kilowatts for a day: more than any one request takes."""

# Built once and run for many rows: to SQLAlchemy a statement costs more than to the database.
_UPDATE: Final = (
    update(ledger_rows)
    .where(*(ledger_rows.c[name] == bindparam("key_" + name) for name in _KEY))
    .values({name: bindparam(name) for name in _BLANK if name not in _KEY})
)


@dataclass(frozen=True)
class ProvenClaim:
    """A claim whose ticket fits it; the ticket says whom the row belongs to."""

    claim: Claim
    ticket: TicketFacts

    @property
    def record_id(self) -> RecordId:
        """The key of this attempt's row."""
        return self.ticket.record_id


Entry = Posting | ProvenClaim


class Booked(NamedTuple):
    """How many rows got their posting, their claim, and a difference between the two."""

    postings: int = 0
    claims: int = 0
    differences: int = 0


async def book(connection: AsyncConnection, entries: Sequence[Entry], now_ms: int) -> Booked:
    """Apply entries to their rows within the caller's transaction.

    Each side of a row is written once: what is told again changes nothing, and is not counted.

    Raises:
        IntegrityError: another replica made one of the rows meanwhile; begin again.
    """
    before = await _found(connection, {entry.record_id for entry in entries})
    after = dict(before)
    for entry in entries:
        after[entry.record_id] = _applied(after.get(entry.record_id), entry, now_ms)
    if new := [row for key, row in after.items() if key not in before]:
        await connection.execute(insert(ledger_rows), new)
    if changed := [row for key, row in after.items() if key in before and row is not before[key]]:
        keys = [{"key_" + name: row[name] for name in _KEY} for row in changed]
        await connection.execute(
            _UPDATE, [row | key for row, key in zip(changed, keys, strict=True)]
        )
    return _news(before, after)


def _news(before: dict[RecordId, _Values], after: dict[RecordId, _Values]) -> Booked:
    pairs = [(before.get(key, _BLANK), row) for key, row in after.items()]
    return Booked(
        *(
            sum(1 for old, row in pairs if row[side] and not old[side])
            for side in ("counted", "claimed", "has_difference")
        )
    )


async def probe(connection: AsyncConnection, now_ms: int) -> None:
    """Write something that needs room on the disk, to find out whether there is any."""
    named = console_state.c.name == "ledger_probe"
    await connection.execute(delete(console_state).where(named))
    await connection.execute(insert(console_state).values(name="ledger_probe", value=str(now_ms)))


async def _found(connection: AsyncConnection, ids: set[RecordId]) -> dict[RecordId, _Values]:
    key = tuple_(ledger_rows.c.request_id, ledger_rows.c.attempt)
    # The lock keeps another replica from settling the same row meanwhile; SQLite needs none.
    query = select(ledger_rows).where(key.in_(sorted(ids))).with_for_update()
    rows = (await connection.execute(query)).mappings()
    return {RecordId(row["request_id"], row["attempt"]): dict(row) for row in rows}


def _applied(row: _Values | None, entry: Entry, now_ms: int) -> _Values:
    if isinstance(entry, Posting):
        if row is not None and row["counted"] is not None:
            return row
        told = _told_by_posting(entry, now_ms)
    else:
        if row is not None and row["claimed"] is not None:
            return row
        told = _told_by_claim(entry, now_ms, is_alone=row is None)
    return _settled({**(row or _BLANK), **told})


def _told_by_posting(posting: Posting, now_ms: int) -> _Values:
    return {
        **_owner(posting),
        "route": posting.route,
        "outcome": posting.outcome,
        "status": posting.status,
        "finish_reason": posting.finish_reason,
        "error_code": posting.error_code,
        **_start(posting.started_at_ms),
        "first_token_ms": posting.first_token_ms,
        "duration_ms": posting.duration_ms,
        "delivered_events": posting.delivered_events,
        "delivered_bytes": posting.delivered_bytes,
        "counted": count_of_posting(posting).model_dump_json(),
        "posted_at_ms": now_ms,
    }


def _told_by_claim(entry: ProvenClaim, now_ms: int, *, is_alone: bool) -> _Values:
    record, signed = entry.claim.record, entry.claim.signed
    evidence = {
        "claimed": count_of_record(record).model_dump_json(),
        "claim_body": signed.body,
        "claim_signature": signed.signature,
        "claim_key_id": signed.key_id,
        "claimed_at_ms": now_ms,
        "price_version": entry.ticket.price_version,
        "joules": _joules(record.joules),
    }
    if not is_alone:
        return evidence
    return {
        **_owner(entry.ticket),
        "route": record.route,
        "outcome": record.outcome,
        "status": record.status,
        "finish_reason": record.finish_reason,
        "error_code": record.error_code,
        # The ticket's time is the console's clock; the record's is the node's.
        **_start(entry.ticket.issued_at_ms),
        "first_token_ms": record.first_token_ms,
        "duration_ms": record.duration_ms,
        **evidence,
    }


def _joules(told: float | None) -> float | None:
    """What a node may say; anything else would make sums of many nodes worthless."""
    return told if told is not None and 0 <= told <= _JOULES_LIMIT else None


def _owner(source: Posting | TicketFacts) -> _Values:
    return {
        "request_id": source.request_id,
        "attempt": source.attempt,
        "org_id": source.org_id,
        "api_key_id": source.api_key_id,
        "node_id": source.node_id,
        "model": source.model,
        "price_version": 0 if isinstance(source, Posting) else source.price_version,
    }


def _start(started_at_ms: int) -> _Values:
    day = datetime.fromtimestamp(started_at_ms / 1000, UTC).date().isoformat()
    return {"started_at_ms": started_at_ms, "day": day}


def _settled(row: _Values) -> _Values:
    bill = settle(_count(row["counted"]), _count(row["claimed"]))
    return {
        **row,
        "prompt_tokens": bill.usage.prompt_tokens,
        "completion_tokens": bill.usage.completion_tokens,
        "cached_tokens": bill.usage.cached_tokens,
        "reasoning_tokens": bill.usage.reasoning_tokens,
        "is_uncounted": bill.is_uncounted,
        "has_difference": bill.has_difference,
    }


def _count(text: str | None) -> Count | None:
    return None if text is None else Count.model_validate_json(text)
