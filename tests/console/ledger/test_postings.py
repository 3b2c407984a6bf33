from __future__ import annotations

import asyncio
import contextlib
import random
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select
from sqlalchemy.exc import OperationalError

from byoi_console.errors import LedgerUnavailable
from byoi_console.ledger import postings
from byoi_console.ledger.postings import Ledger
from byoi_console.ledger.usage import UsageFilter, UsageQueries
from byoi_console.store.tables import audit_log, ledger_rows
from byoi_wire.usage import Usage


@pytest.fixture
async def ledger(database, audit, tickets, clock):
    slept = []

    async def sleep(seconds):
        slept.append(seconds)

    ledger = Ledger(database, audit, tickets, now_ms=clock.now_ms, sleep=sleep)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(ledger.run())
        yield ledger
        running.cancel()


async def rows(database):
    async with database.read() as connection:
        return (await connection.execute(select(ledger_rows))).all()


async def only_row(database):
    (row,) = await rows(database)
    return row


async def test_a_posting_told_twice_is_one_row(ledger, database, attempts):
    await ledger.post(attempts.posting())
    await ledger.post(attempts.posting(completion=999))
    row = await only_row(database)
    assert (row.prompt_tokens, row.completion_tokens) == (10, 20)
    assert not row.is_uncounted
    assert row.day == "2027-01-15"


async def test_two_attempts_at_one_request_are_two_rows(ledger, database, attempts):
    await ledger.post(attempts.posting(attempt=1))
    await ledger.post(attempts.posting(attempt=2))
    assert len(await rows(database)) == 2


async def test_a_claim_attaches_to_its_posting(ledger, database, attempts):
    await ledger.post(attempts.posting())
    claim = attempts.claim()
    assert await ledger.claim([claim]) == (("req_1", 1),)
    row = await only_row(database)
    assert row.claim_body == claim.signed.body
    assert not row.is_uncounted
    assert not row.has_difference


async def test_a_claim_alone_is_a_row_marked_uncounted(ledger, database, attempts):
    await ledger.claim([attempts.claim(outcome="cancelled")])
    row = await only_row(database)
    assert row.is_uncounted
    assert row.outcome == "cancelled"
    assert row.org_id == "org_1"
    assert row.started_at_ms == 1_800_000_000_000, "the console's clock, not the node's"


async def test_a_posting_after_its_claim_completes_the_same_row(ledger, database, attempts):
    await ledger.claim([attempts.claim(completion=25)])
    await ledger.post(attempts.posting(completion=20))
    row = await only_row(database)
    assert not row.is_uncounted
    assert row.has_difference
    assert row.completion_tokens == 20


async def test_a_claim_comes_before_its_posting_over_a_restart(database, audit, tickets, attempts):
    for told in (lambda ledger: ledger.claim([attempts.claim()]),) * 2:
        ledger = Ledger(database, audit, tickets)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(ledger.run())
            await told(ledger)
            running.cancel()
    assert (await only_row(database)).is_uncounted


@pytest.mark.parametrize(
    "change",
    [
        {"ticket": "nonsense"},
        {"node_id": "node_2"},
        {"request_id": "req_2"},
        {"attempt": 2},
        {"route": "/" * 65},
        {"usage": Usage(prompt_tokens=2**40)},
        {"finish_reason": "st\x00p"},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_a_claim_that_does_not_fit_its_ticket_is_refused_for_good(
    ledger, database, attempts, change
):
    honest = attempts.claim()
    claim = replace(honest, record=honest.record.model_copy(update=change))
    good = attempts.claim("req_9")
    acknowledged = await ledger.claim([claim, good])
    assert acknowledged == (claim.record.record_id, good.record.record_id), "both are forgotten"
    assert (await only_row(database)).request_id == "req_9"
    async with database.read() as connection:
        (entry,) = (await connection.execute(select(audit_log))).all()
    assert entry.action == "claim.refused"


async def test_a_node_that_keeps_sending_nonsense_fills_no_audit_log(
    ledger, database, attempts, clock
):
    for _ in range(10):
        await ledger.claim([attempts.claim(ticket="nonsense")])
    clock.seconds += 60
    await ledger.claim([attempts.claim(ticket="nonsense")])
    async with database.read() as connection:
        assert len((await connection.execute(select(audit_log))).all()) == 2


async def test_an_agent_that_reports_half_as_much_again_gains_nothing(ledger, database, attempts):
    for number in range(20):
        await ledger.post(attempts.posting(f"req_{number}", prompt=100, completion=200))
        await ledger.claim([attempts.claim(f"req_{number}", prompt=150, completion=300)])
    report = await UsageQueries(database).report(UsageFilter(org_id="org_1"))
    assert report.totals["total_tokens"] == 20 * 300
    assert all(row.has_difference for row in await rows(database))


async def test_many_entries_share_a_transaction(ledger, database, attempts):
    writes = 0
    write = database.write

    def counting():
        nonlocal writes
        writes += 1
        return write()

    database.write = counting
    async with asyncio.TaskGroup() as tasks:
        for number in range(200):
            tasks.create_task(ledger.post(attempts.posting(f"req_{number}")))
    assert len(await rows(database)) == 200
    assert writes <= 3


async def test_caught_up_is_when_all_told_before_is_on_disk(ledger, database, attempts):
    await ledger.caught_up()
    async with asyncio.TaskGroup() as tasks:
        for number in range(300):
            tasks.create_task(ledger.post(attempts.posting(f"req_{number}")))
        await asyncio.sleep(0)
        await ledger.caught_up()
        assert len(await rows(database)) == 300


async def test_a_reader_does_not_wait_for_ever(database, audit, tickets, attempts):
    ledger = Ledger(database, audit, tickets)
    async with asyncio.TaskGroup() as tasks:
        post = tasks.create_task(ledger.post(attempts.posting()))
        await asyncio.sleep(0)
        await ledger.caught_up(0.01)
        post.cancel()


async def test_what_waits_when_the_ledger_ends_is_still_written(database, audit, tickets, attempts):
    ledger = Ledger(database, audit, tickets)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(ledger.run())
        await asyncio.sleep(0)
        posts = [tasks.create_task(ledger.post(attempts.posting(f"req_{n}"))) for n in range(600)]
        await asyncio.sleep(0)
        running.cancel()
    assert all(post.done() for post in posts)
    assert len(await rows(database)) == 600


async def test_a_caller_that_gives_up_does_not_take_its_entry_with_it(ledger, database, attempts):
    async with asyncio.TaskGroup() as tasks:
        post = tasks.create_task(ledger.post(attempts.posting()))
        await asyncio.sleep(0)
        post.cancel()
    await ledger.post(attempts.posting("req_2"))
    assert len(await rows(database)) == 2


class Failing:
    """A database whose next writes fail as a locked or full one does."""

    def __init__(self, database, failures):
        self.database = database
        self.failures = failures
        self.write_really = database.write
        database.write = self.write

    def write(self):
        if self.failures:
            self.failures -= 1
            raise OperationalError("BEGIN IMMEDIATE", {}, Exception("database is locked"))
        return self.write_really()


async def test_a_database_that_is_locked_for_a_while_delays_and_loses_nothing(
    ledger, database, attempts
):
    Failing(database, 3)
    await ledger.post(attempts.posting())
    assert len(await rows(database)) == 1
    assert ledger.is_healthy


async def test_a_database_that_stays_locked_is_told_and_the_claim_is_not_acknowledged(
    ledger, database, attempts
):
    Failing(database, 1000)
    with pytest.raises(LedgerUnavailable):
        await ledger.post(attempts.posting())
    with pytest.raises(LedgerUnavailable):
        await ledger.claim([attempts.claim()])
    assert not ledger.is_healthy


async def test_a_database_that_is_back_is_noticed_without_any_entry(
    database, audit, tickets, attempts
):
    """While it is not healthy nobody may send work, so nothing would ever be posted."""

    async def no_wait(seconds):
        pass

    failing = Failing(database, 5)
    ledger = Ledger(database, audit, tickets, sleep=no_wait, probe_seconds=0.01)
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(ledger.run())
        with pytest.raises(LedgerUnavailable):
            await ledger.post(attempts.posting())
        while not ledger.is_healthy:
            await asyncio.sleep(0.01)
        running.cancel()
    assert failing.failures == 0


class Unreliable:
    """A database that fails as `plan` says: before a transaction, or just after its commit."""

    def __init__(self, database, plan):
        self.database = database
        self.plan = list(plan)

    @contextlib.asynccontextmanager
    async def write(self):
        fate = self.plan.pop() if self.plan else "well"
        if fate == "before":
            raise OperationalError("BEGIN", {}, Exception("database is locked"))
        async with self.database.write() as connection:
            yield connection
        if fate == "after":
            raise OperationalError("COMMIT", {}, Exception("disk I/O error"))


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    lives=st.lists(
        st.tuples(
            st.lists(st.tuples(st.sampled_from(["post", "claim"]), st.integers(1, 4)), max_size=10),
            st.lists(st.sampled_from(["well", "before", "after"]), max_size=12),
            st.integers(0, 10),
        ),
        max_size=4,
    )
)
async def test_over_crashes_and_lost_commits_no_row_is_doubled_and_none_is_lost(
    database, audit, tickets, attempts, lives
):
    """Each life of the console is told some, is cut off, and is told by the nodes what it lost."""
    async with database.write() as connection:
        await connection.execute(delete(ledger_rows))

    async def no_wait(seconds):
        await asyncio.sleep(0)

    acknowledged, told = set(), set()

    async def tell(ledger, kind, number):
        entry = attempts.posting if kind == "post" else attempts.claim
        made = entry(f"req_{number}", completion=number)
        told.add((kind, number))
        with contextlib.suppress(LedgerUnavailable):
            await (ledger.post(made) if kind == "post" else ledger.claim([made]))
            acknowledged.add((kind, number))

    for story, plan, turns in lives:
        ledger = Ledger(Unreliable(database, plan), audit, tickets, sleep=no_wait)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(ledger.run())
            telling = [tasks.create_task(tell(ledger, *each)) for each in story]
            for _ in range(turns):
                await asyncio.sleep(0)
            for task in telling:
                task.cancel()
            running.cancel()
    found = {row.request_id: row for row in await rows(database)}
    assert len(await rows(database)) == len(found)
    assert {f"req_{number}" for _, number in acknowledged} <= set(found)
    assert set(found) <= {f"req_{number}" for _, number in told}
    for name, row in found.items():
        assert row.completion_tokens == int(name.removeprefix("req_"))
        assert row.is_uncounted == (row.counted is None)


async def test_one_entry_that_cannot_be_stored_does_not_take_the_others_down(
    ledger, database, attempts
):
    bad = replace(attempts.posting("req_bad"), status=object())
    async with asyncio.TaskGroup() as tasks:
        good = [tasks.create_task(ledger.post(attempts.posting(f"req_{n}"))) for n in range(3)]
        failed = tasks.create_task(_refused(ledger, bad))
    assert failed.result()
    assert all(task.exception() is None for task in good)
    assert len(await rows(database)) == 3


async def _refused(ledger, posting):
    with pytest.raises(LedgerUnavailable):
        await ledger.post(posting)
    return True


async def test_more_than_can_wait_is_refused_at_once(database, audit, tickets, attempts):
    ledger = Ledger(database, audit, tickets)
    ledger._waiting = [None] * postings.WAITING_ENTRIES
    with pytest.raises(LedgerUnavailable):
        await ledger.post(attempts.posting())


told = st.lists(
    st.tuples(
        st.sampled_from(["post", "claim"]),
        st.integers(1, 3),  # request
        st.integers(1, 2),  # attempt
    ),
    max_size=30,
)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(story=told, seed=st.integers())
async def test_whatever_is_told_in_whatever_order_each_attempt_is_one_row(
    ledger, database, attempts, story, seed
):
    """Posts and claims, doubled, shuffled and at once: rows and totals are those of the set."""
    async with database.write() as connection:
        await connection.execute(delete(ledger_rows))
    doubled = story * 2
    random.Random(seed).shuffle(doubled)
    async with asyncio.TaskGroup() as tasks:
        for kind, request, attempt in doubled:
            name, tokens = f"req_{request}", 100 * request + attempt
            if kind == "post":
                entry = ledger.post(attempts.posting(name, attempt, completion=tokens))
            else:
                entry = ledger.claim([attempts.claim(name, attempt, completion=tokens)])
            tasks.create_task(entry)
    found = {(row.request_id, row.attempt): row for row in await rows(database)}
    assert set(found) == {(f"req_{request}", attempt) for _, request, attempt in story}
    assert len(await rows(database)) == len(found)
    for (name, attempt), row in found.items():
        number = int(name.removeprefix("req_"))
        assert row.completion_tokens == 100 * number + attempt
        assert not row.has_difference
        assert row.is_uncounted == (("post", number, attempt) not in story)
        assert (row.claimed is not None) == (("claim", number, attempt) in story)
    report = await UsageQueries(database).report(UsageFilter(org_id="org_1"))
    assert report.totals["requests"] == len(found)
    assert report.totals["completion_tokens"] == sum(r.completion_tokens for r in found.values())


async def test_a_posting_and_the_claim_that_follows_it_share_one_transaction(
    ledger, database, attempts, monkeypatch
):
    monkeypatch.setattr(postings, "GATHER_SECONDS", 60.0)  # until somebody asks for them
    writes, write = 0, database.write

    def counting():
        nonlocal writes
        writes += 1
        return write()

    database.write = counting
    async with asyncio.TaskGroup() as tasks:
        for told in (ledger.post(attempts.posting()), ledger.claim([attempts.claim()])):
            waiting = ledger.waiting
            tasks.create_task(told)
            while ledger.waiting == waiting:
                await asyncio.sleep(0.001)
        await ledger.caught_up()
    row = await only_row(database)
    assert row.counted is not None
    assert row.claimed is not None
    assert writes == 1


async def test_what_was_booked_is_counted_and_what_is_told_again_is_not(ledger, attempts):
    claim = attempts.claim(completion=19)
    for _ in range(2):
        await ledger.post(attempts.posting())
        await ledger.claim([claim])
    assert ledger.booked == (1, 1, 1)
    assert (ledger.waiting, ledger.refused) == (0, 0)


@pytest.mark.parametrize(
    ("told", "kept"),
    [(12.5, 12.5), (0.0, 0.0), (None, None), (-1.0, None), (1e300, None)],
)
@pytest.mark.parametrize("posts_first", [True, False])
async def test_what_a_node_measured_of_energy_is_kept_within_reason(
    ledger, database, attempts, told, kept, posts_first
):
    claim = attempts.claim(joules=told)
    if posts_first:
        await ledger.post(attempts.posting())
        await ledger.claim([claim])
    else:
        await ledger.claim([claim])
        await ledger.post(attempts.posting())
    assert (await only_row(database)).joules == kept
