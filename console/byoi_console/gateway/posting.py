"""Tells the ledger of every attempt, without letting any client wait for it."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from byoi_console.errors import LedgerUnavailable
from byoi_console.ledger.entries import Posting
from byoi_wire.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from byoi_console.gateway.attempt import Attempt, Call
    from byoi_console.gateway.ports import Books
    from byoi_wire.usage import Outcome

logger = logging.getLogger(__name__)

RETRY_SECONDS: Final = 5.0
LAST_SECONDS: Final = 5.0
PENDING_LIMIT: Final = 20_000
_GOOD_STATUS: Final = 200
_LEFT_STATUS: Final = 499
_LOST_STATUS: Final = 502


class Bookkeeper:
    """Sole owner of the postings that are not in the ledger yet; `run` owns their tasks.

    An answer is posted once its last byte was handed to the client's connection, and nobody waits
    for the database: what a crash in between loses here comes back as the node's signed claim.
    While the ledger takes nothing, or too much is pending, `is_open` is False and no new billable
    work may be taken; what is pending is tried again until it is in.

    `ended` is told of each attempt once, when it is over, and must return at once.
    """

    def __init__(
        self,
        books: Books,
        *,
        ended: Callable[[Posting], None] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._sleep = sleep
        self._books = books
        self._ended = ended
        self._tasks: asyncio.TaskGroup | None = None
        self._pending = 0
        self._none_pending = asyncio.Event()
        self._none_pending.set()

    @property
    def is_open(self) -> bool:
        """Whether new billable work may be taken."""
        return self._tasks is not None and self._books.is_healthy and self._pending < PENDING_LIMIT

    @property
    def pending(self) -> int:
        """Postings on their way."""
        return self._pending

    async def run(self) -> None:
        """Until cancelled; what is pending then is given a moment more.

        Cancel it after the relays and before the ledger.
        """
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            try:
                await asyncio.get_running_loop().create_future()  # until cancelled
            finally:
                await self._wait_for_pending()

    async def _wait_for_pending(self) -> None:
        try:
            async with asyncio.timeout(LAST_SECONDS):
                await self._none_pending.wait()
        except TimeoutError:
            logger.warning("postings left to nodes' claims", extra={"pending": self._pending})

    def book(self, call: Call, attempt: Attempt) -> None:
        """Post one attempt that is over; what never started at a node is not booked."""
        if attempt.failure is not None and attempt.failure.is_refusal:
            return
        if self._tasks is None:
            logger.error("posting lost", extra={"request": call.request_id})
            return
        posting = _posting(call, attempt)
        if self._ended is not None:
            self._ended(posting)
        self._pending += 1
        self._none_pending.clear()
        self._tasks.create_task(self._post(posting), name=f"post {posting.record_id}")

    async def _post(self, posting: Posting) -> None:
        try:
            while not await self._is_posted(posting):
                await self._sleep(RETRY_SECONDS)
        finally:
            self._pending -= 1
            if not self._pending:
                self._none_pending.set()

    async def _is_posted(self, posting: Posting) -> bool:
        try:
            await self._books.post(posting)
        except LedgerUnavailable:
            return False
        return True


def _posting(call: Call, attempt: Attempt) -> Posting:
    now = asyncio.get_running_loop().time()
    first = attempt.first_token_at
    has_engine_s = attempt.usage is not None and attempt.outcome == "complete"
    counted = attempt.usage if has_engine_s else None
    return Posting(
        request_id=call.request_id,
        attempt=attempt.number,
        org_id=call.principal.org_id,
        api_key_id=call.principal.key_id,
        node_id=attempt.node_id,
        model=call.model,
        route=call.route.path,
        outcome=_outcome(attempt),
        status=_status(attempt),
        usage=counted or Usage(completion_tokens=attempt.content_events),
        counted_by="events" if counted is None else "engine",
        finish_reason=attempt.finish_reason,
        error_code=None if attempt.failure is None else attempt.failure.code,
        started_at_ms=call.started_at_ms,
        first_token_ms=None if first is None else (first - attempt.started_at) * 1000,
        duration_ms=(now - attempt.started_at) * 1000,
        delivered_events=attempt.content_events,
        delivered_bytes=attempt.delivered_bytes if call.streams or counted else 0,
        request_bytes=len(call.body),
    )


def _outcome(attempt: Attempt) -> Outcome:
    """A node's refusal of the request (a 4xx) is nothing that anybody pays for."""
    assert attempt.outcome is not None
    is_refused = attempt.outcome == "complete" and attempt.status != _GOOD_STATUS
    return "failed" if is_refused else attempt.outcome


def _status(attempt: Attempt) -> int:
    if attempt.status:
        return attempt.status
    return _LEFT_STATUS if attempt.outcome == "cancelled" else _LOST_STATUS
