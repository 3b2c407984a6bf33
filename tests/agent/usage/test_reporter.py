from __future__ import annotations

import asyncio
import contextlib

import pytest

from byoi_agent.usage.reporter import BATCH_RECORDS, RESEND_SECONDS, Reporter
from byoi_agent.usage.storage import StorageUnavailable
from byoi_wire.messages import RecordName, UsageAck, UsageBatch
from byoi_wire.usage import open_record
from byoi_wire.version import MESSAGE_LIMIT_BYTES


class Console:
    """Receives batches and acknowledges when told."""

    def __init__(self, reporter, public_key) -> None:
        self.batches: asyncio.Queue[UsageBatch] = asyncio.Queue()
        self.booked: list[str] = []
        self._reporter = reporter
        self._key = public_key

    def send(self, batch: UsageBatch) -> None:
        self.batches.put_nowait(batch)

    async def received(self) -> list[str]:
        batch = await asyncio.wait_for(self.batches.get(), 60)
        return self.names(batch)

    def names(self, batch):
        return [open_record(record, self._key).request_id for record in batch.records]

    def acknowledge(self, names) -> None:
        self.booked += names
        ack = UsageAck(ids=tuple(RecordName(request_id=name, attempt=1) for name in names))
        self._reporter.acked(ack.ids)


@pytest.fixture
async def reporter(outbox, clock):
    reporter = Reporter(outbox, clock)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(reporter.run())
        yield reporter
        task.cancel()


@pytest.fixture
def console(reporter, public_key):
    return Console(reporter, public_key)


async def settled(outbox) -> None:
    """Both the loop's callbacks and the outbox's thread have nothing left to do."""
    for _ in range(10):
        await outbox.report()
        await asyncio.sleep(0)


async def test_a_commit_is_sent_at_once_and_acknowledged_once(outbox, reporter, console, record):
    reporter.link_online(console.send)
    await outbox.commit(record(1))
    names = await console.received()
    assert names == ["req-1"]
    console.acknowledge(names)
    await settled(outbox)
    assert await outbox.unacknowledged(10) == []
    assert console.batches.empty()


async def test_records_from_before_the_link_are_sent_when_it_comes(
    outbox, reporter, console, record
):
    await outbox.commit(record(1))
    await outbox.commit(record(2))
    await settled(outbox)
    reporter.link_online(console.send)
    assert await console.received() == ["req-1", "req-2"]


async def test_what_a_broken_link_swallowed_is_sent_again(outbox, reporter, console, record):
    reporter.link_online(console.send)
    await outbox.commit(record(1))
    assert await console.received() == ["req-1"]
    reporter.link_offline()
    await outbox.commit(record(2))
    await settled(outbox)
    assert console.batches.empty()
    reporter.link_online(console.send)
    assert await console.received() == ["req-1", "req-2"]


async def test_an_acknowledgement_after_the_link_changed_still_counts(
    outbox, reporter, console, record
):
    reporter.link_online(console.send)
    await outbox.commit(record(1))
    names = await console.received()
    reporter.link_offline()
    console.acknowledge(names)
    await settled(outbox)
    reporter.link_online(console.send)
    await settled(outbox)
    assert console.batches.empty()


async def test_batches_are_bounded_in_number_and_bytes(outbox, reporter, console, record):
    async with asyncio.TaskGroup() as tasks:
        for number in range(BATCH_RECORDS + 50):
            size = 4000 if number < 40 else 10
            tasks.create_task(outbox.commit(record(number, ticket="t" * size)))
    reporter.link_online(console.send)
    sizes = []
    while len(console.booked) < BATCH_RECORDS + 50:
        batch = await asyncio.wait_for(console.batches.get(), 60)
        assert len(batch.model_dump_json().encode()) <= MESSAGE_LIMIT_BYTES
        sizes.append(len(batch.records))
        console.acknowledge(console.names(batch))
    assert len(console.booked) == len(set(console.booked))
    assert max(sizes) <= BATCH_RECORDS
    assert len(sizes) > 3


async def test_one_batch_at_a_time(outbox, reporter, console, record):
    reporter.link_online(console.send)
    await outbox.commit(record(1))
    first = await console.received()
    await outbox.commit(record(2))
    await settled(outbox)
    assert console.batches.empty()
    console.acknowledge(first)
    assert await console.received() == ["req-2"]


async def test_a_silent_console_is_asked_again_without_holding_up_the_rest(
    outbox, reporter, console, record, clock
):
    reporter.link_online(console.send)
    await outbox.commit(record(1))
    assert await console.received() == ["req-1"]
    await outbox.commit(record(2))
    await settled(outbox)
    clock.advance(RESEND_SECONDS)
    assert await console.received() == ["req-2"]
    console.acknowledge(["req-2"])
    assert await console.received() == ["req-1"]


async def test_a_disk_that_cannot_be_read_is_tried_again(
    outbox, reporter, console, record, clock, caplog
):
    await outbox.commit(record(1))
    genuine = outbox.unacknowledged

    async def broken(*_args, **_options):
        raise StorageUnavailable("disk I/O error")

    outbox.unacknowledged = broken
    reporter.link_online(console.send)
    while "usage not reported" not in caplog.text:
        await asyncio.sleep(0)
    outbox.unacknowledged = genuine
    clock.advance(RESEND_SECONDS)
    assert await console.received() == ["req-1"]


async def test_a_link_that_goes_while_the_disk_is_read_sends_nothing(
    outbox, reporter, console, record
):
    await outbox.commit(record(1))
    genuine = outbox.unacknowledged
    asked = asyncio.Event()

    async def slow(*args, **options):
        rows = await genuine(*args, **options)
        asked.set()
        await gone.wait()
        return rows

    gone = asyncio.Event()
    outbox.unacknowledged = slow
    reporter.link_online(console.send)
    await asked.wait()
    reporter.link_offline()
    gone.set()
    await settled(outbox)
    assert console.batches.empty()


async def test_a_flood_of_acknowledgements_is_bounded(outbox, clock):
    reporter = Reporter(outbox, clock)
    for _ in range(30):
        reporter.acked([RecordName(request_id=f"x-{n}", attempt=1) for n in range(1000)])
    assert len(reporter._acknowledged) <= 10_000
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0):
            await reporter.run()
