from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading

import pytest

from byoi_agent.usage import schema
from byoi_agent.usage.energy_lines import EnergyKey, EnergyLine
from byoi_agent.usage.outbox import KEPT_SECONDS, OutboxFull, OutboxLimits
from byoi_agent.usage.report import read_report
from byoi_agent.usage.storage import StorageUnavailable
from byoi_wire.ids import RecordId
from byoi_wire.usage import open_record


async def transactions(outbox) -> list[str]:
    """Statements that end a transaction, from now on."""
    seen: list[str] = []
    database = outbox._storage._database
    note = lambda statement: seen.append(statement) if statement == "COMMIT" else None  # noqa: E731
    await outbox._in_thread(database.set_trace_callback, note)
    return seen


async def test_a_committed_record_is_signed_and_waits(outbox, record, public_key):
    await outbox.commit(record())
    (waiting,) = await outbox.unacknowledged(10)
    assert open_record(waiting.record, public_key) == record()
    assert waiting.record_id == record().record_id


async def test_what_is_committed_survives_a_loss_of_power(outbox):
    """In WAL only FULL (2) syncs each commit; NORMAL would lose the last ones."""
    database = outbox._storage._database

    def pragmas():
        names = ("journal_mode", "synchronous")
        return [database.execute(f"PRAGMA {name}").fetchone()[0] for name in names]

    assert await outbox._in_thread(pragmas) == ["wal", 2]


async def test_commits_of_one_turn_share_a_transaction(outbox, record):
    seen = await transactions(outbox)
    async with asyncio.TaskGroup() as tasks:
        for number in range(20):
            tasks.create_task(outbox.commit(record(number)))
    assert seen == ["COMMIT"]
    assert len(await outbox.unacknowledged(100)) == 20


async def test_commits_during_a_write_share_the_next_transaction(outbox, record):
    seen = await transactions(outbox)

    async def late() -> None:
        await asyncio.sleep(0)
        await asyncio.sleep(0)  # the first write has left for its thread
        async with asyncio.TaskGroup() as tasks:
            for number in range(2, 6):
                tasks.create_task(outbox.commit(record(number)))

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(outbox.commit(record(1)))
        tasks.create_task(late())
    assert len(seen) == 2


async def test_one_record_per_request_and_attempt(outbox, record):
    await outbox.commit(record())
    await outbox.commit(record(outcome="failed"))
    await outbox.commit(record(attempt=2))
    waiting = await outbox.unacknowledged(10)
    assert [row.record_id for row in waiting] == [("req-1", 1), ("req-1", 2)]
    assert outbox._fill.rows == 2


async def test_acknowledged_records_are_not_sent_but_reported(outbox, record):
    for number in range(3):
        await outbox.commit(record(number))
    await outbox.acknowledge([RecordId("req-1", 1), RecordId("nobody", 1)])
    await outbox.acknowledge([RecordId("req-1", 1)])
    assert [row.record_id[0] for row in await outbox.unacknowledged(10)] == ["req-0", "req-2"]
    assert outbox._fill.rows == 2
    assert (await outbox.report()).totals.requests == 3


async def test_waiting_records_come_in_order_and_from_a_place_on(outbox, record):
    for number in range(5):
        await outbox.commit(record(number))
    first = await outbox.unacknowledged(2)
    rest = await outbox.unacknowledged(10, after=first[-1].sequence)
    assert [row.record_id[0] for row in [*first, *rest]] == [f"req-{n}" for n in range(5)]


async def test_limit_counts_unacknowledged_records_only(new_outbox, record):
    limits = OutboxLimits(rows=3, reserve_rows=1, reserve_bytes=0)
    async with new_outbox(limits=limits) as outbox:
        await outbox.commit(record(1))
        assert outbox.refusal is None
        await outbox.commit(record(2))
        assert outbox.refusal == "usage_storage_full"
        await outbox.commit(record(3))
        with pytest.raises(OutboxFull):
            await outbox.commit(record(4))
        await outbox.acknowledge([RecordId("req-1", 1), RecordId("req-2", 1)])
        assert outbox.refusal is None
        await outbox.commit(record(4))


async def test_limit_of_bytes(new_outbox, record):
    size = len(record().model_dump_json())
    async with new_outbox(limits=OutboxLimits(content_bytes=2 * size, reserve_bytes=0)) as outbox:
        await outbox.commit(record(1))
        await outbox.commit(record(2))
        assert outbox.refusal == "usage_storage_full"
        with pytest.raises(OutboxFull):
            await outbox.commit(record(3))


async def test_fill_is_known_again_after_a_restart(new_outbox, record):
    async with new_outbox() as outbox:
        await outbox.commit(record())
        fill = outbox._fill
    async with new_outbox() as outbox:
        assert outbox._fill == fill


async def test_a_cancelled_waiter_takes_nothing_back(new_outbox, record):
    async with new_outbox() as outbox, asyncio.TaskGroup() as tasks:
        task = tasks.create_task(outbox.commit(record()))
        await asyncio.sleep(0)
        task.cancel()
    async with new_outbox() as outbox:
        assert len(await outbox.unacknowledged(10)) == 1


async def test_energy_of_a_cancelled_writer_is_written_all_the_same(new_outbox):
    line = EnergyLine(EnergyKey("2027-01-15", "", "idle", "counter", ""), 5, 0)
    gate = threading.Event()
    async with new_outbox() as outbox:
        outbox._thread.submit(gate.wait)
        task = asyncio.get_running_loop().create_task(outbox.add_energy([line]))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        gate.set()
    async with new_outbox() as outbox:
        assert (await outbox.report()).energy == (line,)


async def test_full_disk_keeps_records_in_memory_until_there_is_room(outbox, record, health, clock):
    committed = []
    outbox.subscribe(lambda: committed.append(1))
    await set_pages(outbox, full=True)
    for number in range(40):  # more than the file's last free page takes
        await outbox.commit(record(number, ticket="t" * 900))
    assert outbox.refusal == "usage_storage_unavailable"
    assert [warning.name for warning in health.warnings] == ["usage_storage"]
    written = len(committed)
    await set_pages(outbox, full=False)
    async with asyncio.TaskGroup() as tasks:
        runner = tasks.create_task(outbox.run())
        while outbox.refusal:
            clock.advance(5)
            await asyncio.sleep(0)
        runner.cancel()
    assert len(committed) == written + 1
    assert not health.warnings
    assert len(await outbox.unacknowledged(100)) == 40


async def test_what_the_disk_kept_back_is_written_at_the_end_if_it_can_be(new_outbox, record):
    async with new_outbox() as outbox:
        await fill_disk(outbox, record)
        assert outbox.unacknowledged_records == 40
        await set_pages(outbox, full=False)
    async with new_outbox() as outbox:
        assert outbox.unacknowledged_records == 40


async def test_usage_that_is_lost_at_the_end_is_told_loudly(new_outbox, record, caplog):
    async with new_outbox() as outbox:
        await fill_disk(outbox, record)
    assert "usage lost" in caplog.text


async def fill_disk(outbox, record) -> None:
    await set_pages(outbox, full=True)
    for number in range(40):
        await outbox.commit(record(number, ticket="t" * 900))
    assert outbox.refusal


async def test_pruning_that_fails_is_no_more_than_a_warning(outbox, clock, caplog):
    def prune(_before):
        raise StorageUnavailable("disk I/O error")

    outbox._storage.prune = prune
    async with asyncio.TaskGroup() as tasks:
        runner = tasks.create_task(outbox.run())
        while "usage not pruned" not in caplog.text:
            await asyncio.sleep(0)
        runner.cancel()


async def set_pages(outbox, *, full: bool) -> None:
    """SQLite's own way of being out of space: SQLITE_FULL beyond this many pages."""
    database = outbox._storage._database
    await outbox._in_thread(database.execute, f"PRAGMA max_page_count = {1 if full else 10**6}")


async def test_a_read_only_place_refuses_work_and_mends_itself(new_outbox, record, tmp_path):
    (tmp_path / "state" / "usage.db").mkdir(parents=True)
    async with new_outbox() as outbox:
        assert outbox.refusal == "usage_storage_unavailable"
        with pytest.raises(StorageUnavailable):
            await outbox.unacknowledged(1)
        (tmp_path / "state" / "usage.db").rmdir()
        await outbox.commit(record())
        assert outbox.refusal is None
        assert len(await outbox.unacknowledged(1)) == 1


async def test_a_place_that_was_full_at_the_start_is_tried_again_without_any_request(
    new_outbox, tmp_path, clock, health
):
    (tmp_path / "state" / "usage.db").mkdir(parents=True)
    async with new_outbox() as outbox, asyncio.TaskGroup() as tasks:
        runner = tasks.create_task(outbox.run())
        assert [warning.name for warning in health.warnings] == ["usage_storage"]
        (tmp_path / "state" / "usage.db").rmdir()
        while outbox.refusal:
            clock.advance(5)
            await asyncio.sleep(0)
        runner.cancel()
    assert not health.warnings


async def test_damaged_file_is_set_aside_and_told(new_outbox, record, tmp_path, health, caplog):
    async with new_outbox() as outbox:
        await outbox.commit(record())
    path = tmp_path / "state" / "usage.db"
    path.write_bytes(b"this was a database once" * 400)
    async with new_outbox() as outbox:
        await outbox.commit(record(2))
        assert len(await outbox.unacknowledged(10)) == 1
    (kept,) = path.parent.glob("usage.db.damaged-*")
    assert kept.read_bytes().startswith(b"this was")
    assert [warning.name for warning in health.warnings] == ["usage_file_damaged"]
    assert "usage file damaged and set aside" in caplog.text


async def test_flipped_bytes_inside_the_file_are_noticed_at_the_start(new_outbox, record, tmp_path):
    async with new_outbox() as outbox:
        for number in range(50):
            await outbox.commit(record(number))
    path = tmp_path / "state" / "usage.db"
    content = bytearray(path.read_bytes())
    content[4096 * 2 : 4096 * 4] = os.urandom(8192)
    path.write_bytes(content)
    async with new_outbox() as outbox:
        assert outbox._storage.set_aside is not None
        await outbox.commit(record())


async def test_a_file_damaged_while_open_is_set_aside(outbox, record, health):
    await outbox.commit(record(1))
    error = sqlite3.DatabaseError("database disk image is malformed")
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    genuine, calls = outbox._storage._insert, []

    def fails_once(records):
        calls.append(records)
        if len(calls) == 1:
            raise error
        return genuine(records)

    outbox._storage._insert = fails_once
    await outbox.commit(record(2))
    assert [row.record_id[0] for row in await outbox.unacknowledged(10)] == ["req-2"]
    assert [warning.name for warning in health.warnings] == ["usage_file_damaged"]


async def test_a_file_of_a_later_version_is_left_alone(new_outbox, tmp_path):
    async with new_outbox():
        pass
    with sqlite3.connect(tmp_path / "state" / "usage.db") as database:
        database.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    database.close()
    outbox = new_outbox()
    with pytest.raises(schema.SchemaTooNew):
        await outbox.__aenter__()
    outbox._thread.shutdown()
    assert not list((tmp_path / "state").glob("*.damaged-*"))


async def test_a_fault_in_signing_reaches_the_one_who_waits(new_outbox, record):
    outbox = new_outbox()
    outbox._sign = lambda _record: 1 / 0
    async with outbox:
        with pytest.raises(ZeroDivisionError):
            await outbox.commit(record())


async def test_old_acknowledged_records_are_pruned(outbox, record, clock):
    for number in range(3):
        await outbox.commit(record(number))
    await outbox.acknowledge([RecordId("req-1", 1)])
    clock.advance(KEPT_SECONDS + 1)
    await outbox.acknowledge([RecordId("req-2", 1)])
    async with asyncio.TaskGroup() as tasks:
        runner = tasks.create_task(outbox.run())
        while (await outbox.report()).totals.requests == 3:
            await asyncio.sleep(0)
        runner.cancel()
    assert (await outbox.report()).totals.requests == 2


async def test_the_report_can_be_read_beside_the_running_agent(outbox, record, tmp_path):
    await outbox.commit(record())
    assert read_report(tmp_path / "state" / "usage.db") == await outbox.report()


async def test_the_file_is_the_owners_alone(outbox, record, tmp_path):
    await outbox.commit(record())
    for file in (tmp_path / "state").iterdir():
        assert file.stat().st_mode & 0o077 == 0, file


CRASHING = """
    import asyncio, sys
    from pathlib import Path
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from byoi_agent.clock import SystemClock
    from byoi_agent.telemetry.health import Health
    from byoi_agent.usage.outbox import Outbox
    from byoi_wire.usage import Usage, UsageRecord, sign

    async def main():
        key = Ed25519PrivateKey.generate()
        outbox = Outbox(
            Path(sys.argv[1]), sign=lambda record: sign(record, "k", key),
            clock=SystemClock(), health=Health(),
        )
        async with outbox:
            for number in range(int(sys.argv[2]), 10**9):
                await outbox.commit(UsageRecord(
                    request_id=f"req-{number}", attempt=1, ticket="t", node_id="n", model="m",
                    route="/v1/chat/completions", outcome="complete", status=200,
                    usage=Usage(completion_tokens=1), counted_by="engine",
                    started_at_ms=1_800_000_000_000, duration_ms=1,
                ))
                print(number, flush=True)  # what would be the last DATA and END

    asyncio.run(main())
"""


def test_killed_between_commit_and_send_loses_and_doubles_nothing(tmp_path):
    path = tmp_path / "state" / "usage.db"
    told = -1
    for reach in (1, 2, 7):
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(CRASHING), str(path), str(told + 1)],
            stdout=subprocess.PIPE,
            text=True,
        )
        with process:
            for _ in range(reach):
                told = int(process.stdout.readline())
            process.send_signal(signal.SIGKILL)
            rest = process.stdout.read().splitlines()
            told = int(rest[-1]) if rest else told
    with sqlite3.connect(path) as database:
        rows = [row for (row,) in database.execute("SELECT request_id FROM records")]
    database.close()
    assert {f"req-{number}" for number in range(told + 1)} <= set(rows)
    assert len(rows) == len(set(rows)) <= told + 1 + 3  # each kill: at most one written, not told
