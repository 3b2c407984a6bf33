"""The records that the console has not booked yet: durable first, sent later, never dropped."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, ParamSpec, Self, TypeVar

from byoi_agent.errors import AgentError
from byoi_agent.usage.report import EVERYTHING
from byoi_agent.usage.storage import Entry, Fill, Storage, StorageUnavailable
from byoi_agent.usage.value import NOTHING, Value

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from byoi_agent.clock import Clock
    from byoi_agent.telemetry.health import Health
    from byoi_agent.usage.energy_lines import EnergyLine
    from byoi_agent.usage.evidence import Measurement
    from byoi_agent.usage.report import UsageFilter, UsageReport
    from byoi_agent.usage.storage import WaitingRecord
    from byoi_wire.ids import RecordId
    from byoi_wire.usage import SignedRecord, UsageRecord

logger = logging.getLogger(__name__)

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

KEPT_SECONDS: Final = 400 * 24 * 3600.0
_RETRY_SECONDS: Final = 5.0
_PRUNE_SECONDS: Final = 24 * 3600.0
_WARNING: Final = "usage_storage"
_WARNING_DAMAGED: Final = "usage_file_damaged"


class OutboxFull(AgentError):
    """So much waits for the console that no further record is taken."""


class OutboxLimits(NamedTuple):
    """What may wait unacknowledged.

    New work is refused `reserve_rows` earlier, so that what runs by then can still be recorded.
    """

    rows: int = 1_000_000
    content_bytes: int = 256 * 1024 * 1024
    reserve_rows: int = 10_000
    reserve_bytes: int = 8 * 1024 * 1024


DEFAULT_LIMITS: Final = OutboxLimits()


class _Kept(NamedTuple):
    record: UsageRecord
    value: Value


class _Waiting(NamedTuple):
    kept: _Kept
    written: asyncio.Future[None]


class Outbox:
    """Sole owner of the usage records on this machine.

    One thread does all the reading and writing. Records committed during one turn of the event
    loop, or while a write is under way, share the next transaction. `value` says what a record is
    worth to the owner, when it comes.
    """

    def __init__(
        self,
        path: Path,
        *,
        sign: Callable[[UsageRecord], SignedRecord],
        clock: Clock,
        health: Health,
        limits: OutboxLimits = DEFAULT_LIMITS,
        value: Callable[[UsageRecord], Value] = lambda _: NOTHING,
    ) -> None:
        self._storage = Storage(path)
        self._sign = sign
        self._clock = clock
        self._health = health
        self._limits = limits
        self._value = value
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="usage outbox")
        self._pending: list[_Waiting] = []
        self._kept: list[_Kept] = []
        self._idle = asyncio.Event()
        self._idle.set()
        self._is_open = False
        self._fill = Fill()
        self._subscribers: list[Callable[[], None]] = []

    async def __aenter__(self) -> Self:
        """Open the file; where the disk refuses, begin without it and refuse work until it mends.

        Raises:
            SchemaTooNew: a later version of the agent wrote the file.
        """
        await self._open()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Write what still waits, then close."""
        await self._idle.wait()
        if self._kept:
            self._schedule()
            await self._idle.wait()
        if self._kept:
            logger.error("usage lost: no space left for it", extra={"records": len(self._kept)})
        await self._in_thread(self._storage.close)
        self._thread.shutdown(wait=False)

    async def run(self) -> None:
        """Until cancelled: write what a full disk kept back, forget what was booked long ago."""
        prune_at = self._clock.monotonic()
        while True:
            now = self._clock.monotonic()
            if self._kept:
                self._schedule()
            elif not self._is_open:
                await self._open()
            if now >= prune_at:
                prune_at = now + _PRUNE_SECONDS
                await self._prune()
            await self._clock.sleep_until(now + _RETRY_SECONDS)

    @property
    def refusal(self) -> str | None:
        """Why no new work may be taken now, None if it may."""
        if self._kept or not self._is_open:
            return "usage_storage_unavailable"
        limits, fill = self._limits, self._fill
        if (
            fill.rows >= limits.rows - limits.reserve_rows
            or fill.content_bytes >= limits.content_bytes - limits.reserve_bytes
        ):
            return "usage_storage_full"
        return None

    @property
    def unacknowledged_records(self) -> int:
        """How many records wait for the console."""
        return self._fill.rows + len(self._kept)

    def subscribe(self, committed: Callable[[], None]) -> None:
        """Call `committed` after each transaction that brought new records."""
        self._subscribers.append(committed)

    async def commit(self, record: UsageRecord) -> None:
        """Keep a record; it is signed and durable on return.

        Where the disk refuses, it stays in memory until the disk has room, and `refusal` keeps new
        work away meanwhile. A caller that is cancelled while it waits takes nothing back.

        Raises:
            OutboxFull: so much waits for the console that the record was not taken.
        """
        limits, fill = self._limits, self._fill
        if (
            fill.rows + len(self._pending) + len(self._kept) >= limits.rows
            or fill.content_bytes >= limits.content_bytes
        ):
            raise OutboxFull(f"{fill.rows} usage records wait for the console")
        written = asyncio.get_running_loop().create_future()
        self._pending.append(_Waiting(_Kept(record, self._value(record)), written))
        self._schedule()
        await written

    async def unacknowledged(self, limit: int, *, after: int = 0) -> list[WaitingRecord]:
        """The oldest records that the console has not booked, beyond the place `after`.

        Raises:
            StorageUnavailable: the file cannot be read now.
        """
        return await self._in_thread(self._storage.waiting, limit, after)

    async def acknowledge(self, ids: Sequence[RecordId]) -> None:
        """The console has booked these; they are kept for the owner's report only.

        Raises:
            StorageUnavailable: none was marked; the console will acknowledge them again.
        """
        self._fill = await self._in_thread(self._storage.acknowledge, ids, self._clock.wall())

    async def report(self, chosen: UsageFilter = EVERYTHING) -> UsageReport:
        """The owner's figures.

        Raises:
            StorageUnavailable: the file cannot be read now.
        """
        return await self._in_thread(self._storage.report, chosen)

    async def add_energy(self, lines: Sequence[EnergyLine]) -> None:
        """Keep energy that is on no record; durable on return.

        A caller that is cancelled while it waits takes nothing back.

        Raises:
            StorageUnavailable: none was kept.
        """
        loop = asyncio.get_running_loop()
        job = loop.run_in_executor(self._thread, self._storage.add_energy, lines)
        await asyncio.shield(job)

    async def evidence(self, limit: int) -> list[Measurement]:
        """The newest requests whose energy was measured, oldest of them first.

        Raises:
            StorageUnavailable: the file cannot be read now.
        """
        return await self._in_thread(self._storage.evidence, limit)

    async def _open(self) -> None:
        try:
            await self._in_thread(self._storage.open)
        except StorageUnavailable as error:
            self._unavailable(error)
            return
        self._is_open = True
        self._fill = self._storage.fill
        if not self._kept:  # what is kept is written with the next look
            self._health.clear(_WARNING)
        self._tell_damaged()

    def _schedule(self) -> None:
        if self._idle.is_set():
            self._idle.clear()
            # Not at once: all that this turn of the loop still commits shares the transaction.
            asyncio.get_running_loop().call_soon(self._write)

    def _write(self) -> None:
        entries, self._pending = self._pending, []
        records = [*self._kept, *(entry.kept for entry in entries)]
        job = asyncio.get_running_loop().run_in_executor(self._thread, self._insert, records)
        job.add_done_callback(partial(self._written, entries, records))

    def _insert(self, records: list[_Kept]) -> Fill:
        return self._storage.insert(
            [Entry(record, self._sign(record), value) for record, value in records]
        )

    def _written(
        self, entries: list[_Waiting], records: list[_Kept], job: asyncio.Future[Fill]
    ) -> None:
        error = job.exception()
        if error is None:
            self._available(job.result())
        elif isinstance(error, StorageUnavailable):
            self._kept = records
            self._unavailable(error)
        for entry in entries:
            if entry.written.done():  # whoever waited was cancelled
                continue
            if error is None or isinstance(error, StorageUnavailable):
                entry.written.set_result(None)
            else:
                entry.written.set_exception(error)
        if self._pending:
            self._write()
        else:
            self._idle.set()

    def _available(self, fill: Fill) -> None:
        self._fill = fill
        self._kept = []
        self._is_open = True
        self._health.clear(_WARNING)
        self._tell_damaged()
        for committed in self._subscribers:
            committed()

    def _unavailable(self, error: StorageUnavailable) -> None:
        self._health.warn(
            _WARNING,
            f"usage cannot be written ({error}), so no new work is taken",
            "make room on the disk that holds the agent's data; it goes on by itself",
        )

    def _tell_damaged(self) -> None:
        if (kept_as := self._storage.set_aside) is not None:
            self._health.warn(
                _WARNING_DAMAGED,
                f"the file of usage records was damaged and is kept as {kept_as}",
                "records that the console had not booked are in that file; keep it for support",
            )

    async def _prune(self) -> None:
        try:
            await self._in_thread(self._storage.prune, self._clock.wall() - KEPT_SECONDS)
        except StorageUnavailable as error:
            logger.warning("usage not pruned", extra={"error": str(error)})

    async def _in_thread(
        self,
        call: Callable[Parameters, Result],
        *args: Parameters.args,
        **kwargs: Parameters.kwargs,
    ) -> Result:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, partial(call, *args, **kwargs))
