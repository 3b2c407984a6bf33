"""The ledger's way in: postings and claims become durable rows, many to a transaction."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sqlalchemy.exc import (
    DataError,
    IntegrityError,
    OperationalError,
    ProgrammingError,
    SQLAlchemyError,
)

from byoi_console.accounts.audit import Change
from byoi_console.clock import wall_ms
from byoi_console.errors import LedgerUnavailable, TicketInvalid
from byoi_console.ledger.entries import Claim, Posting
from byoi_console.ledger.rows import Booked, Entry, ProvenClaim, book, probe

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from byoi_console.accounts.audit import AuditLog
    from byoi_console.ledger.tickets import TicketFacts, Tickets
    from byoi_console.store.database import Database
    from byoi_wire.ids import NodeId, RecordId

__all__ = ["Claim", "Ledger", "Posting"]

logger = logging.getLogger(__name__)

BATCH_ENTRIES: Final = 256
GATHER_SECONDS: Final = 0.05
"""How long an entry waits for company: the posting and the claim of one request come shortly after
each other, and a transaction costs far more than a row."""

WAITING_ENTRIES: Final = 20_000
CATCH_UP_SECONDS: Final = 2.0
RETRY_SECONDS: Final = (0.2, 1.0, 5.0)
TELL_EVERY_MS: Final = 60_000
_CONFLICT_TRIES: Final = 5
_ENTRY_S_FAULT: Final = (DataError, IntegrityError, ProgrammingError)
"""Failures that say nothing about the database itself."""

_TOKENS_LIMIT: Final = 2**31 - 1
_TEXT_LIMIT: Final = 64


@dataclass
class _Waiting:
    entry: Entry
    done: asyncio.Future[None] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class Ledger:
    """Sole writer of ledger rows: one per (request, attempt), whatever comes, in any order.

    `post` and `claim` return once their rows are on disk. What arrives within a twentieth of a
    second, or while a transaction is being written, goes into one transaction. Beyond 20,000
    waiting entries, or when the database still refuses after several tries, they raise
    LedgerUnavailable: a posting lost so comes back as the node's claim, which is acknowledged only
    once it is booked.

    A claim that comes before its posting makes the row at once, marked uncounted; the posting
    completes the same row. So nothing needs to be remembered or timed across a crash.
    """

    def __init__(
        self,
        database: Database,
        audit: AuditLog,
        tickets: Tickets,
        *,
        now_ms: Callable[[], int] = wall_ms,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        probe_seconds: float = 5.0,
    ) -> None:
        self._database = database
        self._audit = audit
        self._tickets = tickets
        self._now_ms = now_ms
        self._sleep = sleep
        self._probe_seconds = probe_seconds
        self._told_at_ms: dict[NodeId, int] = {}
        self._waiting: list[_Waiting] = []
        self._news = asyncio.Event()
        self._hurry = asyncio.Event()
        self._is_healthy = True
        self._booked = Booked()
        self._refused = 0

    @property
    def booked(self) -> Booked:
        """What went into rows since the start."""
        return self._booked

    @property
    def waiting(self) -> int:
        """Entries that are on their way to the disk."""
        return len(self._waiting)

    @property
    def refused(self) -> int:
        """Claims whose ticket did not fit, since the start."""
        return self._refused

    @property
    def is_healthy(self) -> bool:
        """False from a failed transaction until the next good one: take no new billable work."""
        return self._is_healthy

    async def post(self, posting: Posting) -> None:
        """Book the console's own count of one attempt; again for the same attempt is no news.

        Raises:
            LedgerUnavailable: it is not on disk.
        """
        await asyncio.shield(self._enqueue(posting))

    async def claim(self, claims: Sequence[Claim]) -> tuple[RecordId, ...]:
        """Attach nodes' records to their rows; returns the ids that the node may forget.

        Those are all of them: a claim whose ticket does not fit is refused for good, and told to
        the log and the audit log.

        Raises:
            LedgerUnavailable: some are not on disk; acknowledge none, they will come again.
        """
        waiting = []
        refused = []
        for claim in claims:
            if ticket := self._ticket_of(claim):
                waiting.append(self._enqueue(ProvenClaim(claim, ticket)))
            else:
                refused.append(claim)
        if refused:
            self._refused += len(refused)
            await self._tell_of(refused)
        for done in waiting:
            await asyncio.shield(done)
        return tuple(claim.record.record_id for claim in claims)

    async def caught_up(self, seconds: float = CATCH_UP_SECONDS) -> None:
        """Until all that was told before this call is on disk, or was refused, or time is up.

        A report read afterwards has every answer that had ended when it was asked for.
        """
        if not self._waiting:
            return
        newest = self._waiting[-1].done
        self._hurry.set()
        await asyncio.wait({newest}, timeout=seconds)

    async def run(self) -> None:
        """Write what is waiting, until cancelled; what waits then is still written."""
        try:
            while True:
                await self._wait_for_news()
                await self._gather()
                await self._write_batch()
        finally:
            while self._waiting:
                await self._write_batch()

    async def _wait_for_news(self) -> None:
        """Until something waits; meanwhile find out whether a database that failed is back.

        Somebody must: as long as it is not, no new work is taken that would need writing down.
        """
        while not self._news.is_set():
            try:
                async with asyncio.timeout(None if self._is_healthy else self._probe_seconds):
                    await self._news.wait()
            except TimeoutError:
                await self._probe()

    async def _gather(self) -> None:
        """Let a batch come together, unless it is full or somebody waits for it."""
        if len(self._waiting) < BATCH_ENTRIES:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GATHER_SECONDS):
                    await self._hurry.wait()
        self._hurry.clear()

    async def _probe(self) -> None:
        try:
            async with self._database.write() as connection:
                await probe(connection, self._now_ms())
        except SQLAlchemyError as error:
            self._note(error, 0)
        else:
            self._note(None, 0)

    def _enqueue(self, entry: Entry) -> asyncio.Future[None]:
        if len(self._waiting) >= WAITING_ENTRIES:
            raise LedgerUnavailable("Too many entries are waiting for the database.")
        waiting = _Waiting(entry)
        # A caller that is cancelled never asks; its entry is written all the same.
        waiting.done.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._waiting.append(waiting)
        self._news.set()
        if len(self._waiting) >= BATCH_ENTRIES:
            self._hurry.set()
        return waiting.done

    async def _write_batch(self) -> None:
        """Write the oldest entries; they leave the queue only once their fate is known.

        Were it cancelled in between, they would be written again, which changes nothing.
        """
        batch = self._waiting[:BATCH_ENTRIES]
        failure = await self._try_for_long(batch)
        if failure is not None and len(batch) > 1:
            # One entry must not take the others of its transaction down with it.
            for waiting in batch:
                _resolve(waiting, await self._try([waiting]))
        else:
            for waiting in batch:
                _resolve(waiting, failure)
        del self._waiting[: len(batch)]
        if not self._waiting:
            self._news.clear()

    async def _try_for_long(self, batch: list[_Waiting]) -> SQLAlchemyError | None:
        for seconds in (*RETRY_SECONDS, None):
            failure = await self._try(batch)
            self._note(failure, len(batch))
            if not isinstance(failure, OperationalError) or seconds is None:
                return failure
            await self._sleep(seconds)
        return None

    async def _try(self, batch: list[_Waiting]) -> SQLAlchemyError | None:
        entries = [waiting.entry for waiting in batch]
        failure: SQLAlchemyError | None = None
        for _ in range(_CONFLICT_TRIES):
            try:
                async with self._database.write() as connection:
                    news = await book(connection, entries, self._now_ms())
            except IntegrityError as error:
                failure = error
            except SQLAlchemyError as error:
                return error
            else:
                pairs = zip(self._booked, news, strict=True)
                self._booked = Booked(*(old + new for old, new in pairs))
                return None
        return failure

    def _note(self, failure: SQLAlchemyError | None, entries: int) -> None:
        is_healthy = failure is None or isinstance(failure, _ENTRY_S_FAULT)
        if self._is_healthy and not is_healthy:
            logger.error("ledger not writable", extra={"entries": entries, "why": str(failure)})
        elif is_healthy and not self._is_healthy:
            logger.info("ledger writable again")
        self._is_healthy = is_healthy

    def _ticket_of(self, claim: Claim) -> TicketFacts | None:
        record = claim.record
        try:
            ticket = self._tickets.verify(record.ticket)
        except TicketInvalid:
            return None
        fits = ticket.record_id == record.record_id and ticket.node_id == record.node_id
        return ticket if fits and _is_storable(claim) else None

    async def _tell_of(self, refused: Sequence[Claim]) -> None:
        """One entry for all of a batch and one a minute per node, so that none can flood us."""
        node_id = refused[0].record.node_id
        now_ms = self._now_ms()
        if now_ms - self._told_at_ms.get(node_id, 0) < TELL_EVERY_MS:
            return
        self._told_at_ms[node_id] = now_ms
        ids = [str(claim.record.record_id)[:_TEXT_LIMIT] for claim in refused[:10]]
        logger.warning("claims refused", extra={"node": node_id, "count": len(refused)})
        change = Change(
            actor=f"node:{node_id}"[:_TEXT_LIMIT],
            action="claim.refused",
            subject=ids[0],
            org_id=None,
            details={"count": len(refused), "record_ids": ids},
        )
        try:
            async with self._database.write() as connection:
                await self._audit.record(connection, change)
        except SQLAlchemyError as error:
            raise LedgerUnavailable("The refusal could not be written down.") from error


def _is_storable(claim: Claim) -> bool:
    """Whether a record's values fit their columns; an honest node's always do."""
    record = claim.record
    texts = (record.route, record.finish_reason or "", record.error_code or "", claim.signed.key_id)
    tokens = record.usage.model_dump().values()
    return (
        all(len(text) <= _TEXT_LIMIT and "\x00" not in text for text in texts)
        and all(count <= _TOKENS_LIMIT for count in tokens)
        and abs(record.status) <= _TOKENS_LIMIT
        and "\x00" not in claim.signed.body
    )


def _resolve(waiting: _Waiting, failure: SQLAlchemyError | None) -> None:
    if waiting.done.done():
        return
    if failure is None:
        waiting.done.set_result(None)
    else:
        error = LedgerUnavailable("The database did not take the entry.")
        error.__cause__ = failure
        waiting.done.set_exception(error)
