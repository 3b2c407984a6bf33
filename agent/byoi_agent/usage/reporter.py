"""Sends what the outbox holds to the console, at least once, until each record is acknowledged."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from byoi_agent.usage.storage import StorageUnavailable
from byoi_wire.ids import RecordId
from byoi_wire.messages import UsageBatch
from byoi_wire.version import MESSAGE_LIMIT_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from byoi_agent.clock import Clock
    from byoi_agent.usage.outbox import Outbox
    from byoi_agent.usage.storage import WaitingRecord
    from byoi_wire.messages import RecordName

logger = logging.getLogger(__name__)

BATCH_RECORDS: Final = 200
GATHER_SECONDS: Final = 0.02
"""How long records wait for company; also lets the end of an answer go before its report."""

RESEND_SECONDS: Final = 30.0
"""An acknowledgement that has not come by then is asked for by sending again."""
_ACKNOWLEDGED_LIMIT: Final = 10_000
_ENVELOPE_BYTES: Final = len(UsageBatch(records=()).model_dump_json())


class Reporter:
    """Sole sender of usage batches: one at a time, the next when the one before is acknowledged.

    What a broken link swallowed is sent again over the next one; the console books each record id
    once, so a record that arrives twice does no harm. Acknowledgements beyond ten thousand that
    wait for the disk are dropped: the console repeats them when it gets the records again.
    """

    def __init__(self, outbox: Outbox, clock: Clock) -> None:
        self._outbox = outbox
        self._clock = clock
        self._send: Callable[[UsageBatch], object] | None = None
        self._news = asyncio.Event()
        self._acknowledged: list[RecordId] = []
        self._unanswered: set[RecordId] = set()
        self._sent_at = 0.0
        self._after = 0
        self._left_some_out = False
        outbox.subscribe(self._news.set)

    def link_online(self, send: Callable[[UsageBatch], object]) -> None:
        """Report over this link from now on, beginning with the oldest record not booked."""
        self._start_over()
        self._send = send
        self._news.set()

    def link_offline(self) -> None:
        """Nothing can be sent; records wait."""
        self._start_over()
        self._send = None

    def acked(self, ids: Iterable[RecordName]) -> None:
        """The console has booked these, or refused them for good."""
        names = [RecordId(name.request_id, name.attempt) for name in ids]
        self._unanswered.difference_update(names)
        if len(self._acknowledged) + len(names) <= _ACKNOWLEDGED_LIMIT:
            self._acknowledged += names
        self._news.set()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._remind(), name="usage resend")
            while True:
                await self._news.wait()
                if not self._acknowledged:
                    await asyncio.sleep(GATHER_SECONDS)
                self._news.clear()
                try:
                    await self._settle()
                    await self._report()
                except StorageUnavailable as error:
                    self._left_some_out = True
                    logger.warning("usage not reported", extra={"error": str(error)})

    async def _settle(self) -> None:
        ids, self._acknowledged = self._acknowledged, []
        if ids:
            await self._outbox.acknowledge(ids)

    async def _report(self) -> None:
        if self._send is None or self._unanswered:
            return
        waiting = await self._outbox.unacknowledged(BATCH_RECORDS, after=self._after)
        if not waiting and self._left_some_out:
            self._start_over()
            waiting = await self._outbox.unacknowledged(BATCH_RECORDS)
        if waiting and self._send is not None:  # the link may have gone while the disk was read
            batch = _that_fit(waiting)
            self._unanswered = {row.record_id for row in batch}
            self._after = batch[-1].sequence
            self._sent_at = self._clock.monotonic()
            self._send(UsageBatch(records=tuple(row.record for row in batch)))

    async def _remind(self) -> None:
        while True:
            await self._clock.sleep_until(self._clock.monotonic() + RESEND_SECONDS)
            now = self._clock.monotonic()
            if self._unanswered and now - self._sent_at >= RESEND_SECONDS:
                logger.warning("usage not acknowledged", extra={"records": len(self._unanswered)})
                self._unanswered.clear()
                self._left_some_out = True
            if self._left_some_out:
                self._news.set()

    def _start_over(self) -> None:
        self._unanswered.clear()
        self._after = 0
        self._left_some_out = False


def _that_fit(waiting: Sequence[WaitingRecord]) -> list[WaitingRecord]:
    """The first of them, as many as one message holds; one at least."""
    fitting: list[WaitingRecord] = []
    size = _ENVELOPE_BYTES
    for row in waiting:
        size += len(row.record.model_dump_json().encode()) + 1
        if fitting and size > MESSAGE_LIMIT_BYTES:
            break
        fitting.append(row)
    return fitting
