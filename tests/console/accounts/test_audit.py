from __future__ import annotations

import pytest
from sqlalchemy import delete, insert, select, update

from byoi_console.accounts.audit import Change
from byoi_console.store.tables import audit_log


async def some_changes(database, audit, count=5):
    for number in range(count):
        async with database.write() as connection:
            change = Change("person_1", "key.created", f"key_{number}", "org_1", {"n": number})
            await audit.record(connection, change)


async def test_an_untouched_log_is_whole(database, audit):
    assert await audit.first_broken() is None
    await some_changes(database, audit)
    assert await audit.first_broken() is None


@pytest.mark.parametrize(
    "changed",
    [{"actor": "person_2"}, {"details": "{}"}, {"at_ms": 0}, {"subject": "x"}, {"hash": "0" * 64}],
    ids=lambda changed: next(iter(changed)),
)
async def test_an_altered_row_is_found(database, audit, changed):
    await some_changes(database, audit)
    async with database.write() as connection:
        await connection.execute(update(audit_log).where(audit_log.c.seq == 3).values(changed))
    assert await audit.first_broken() == 3


async def test_a_removed_row_is_found(database, audit):
    await some_changes(database, audit)
    async with database.write() as connection:
        await connection.execute(delete(audit_log).where(audit_log.c.seq == 2))
    assert await audit.first_broken() == 2


async def test_a_row_that_was_put_in_is_found(database, audit):
    await some_changes(database, audit)
    async with database.write() as connection:
        row = dict((await connection.execute(select(audit_log).limit(1))).one()._mapping)
        await connection.execute(insert(audit_log).values({**row, "seq": 6}))
    assert await audit.first_broken() == 6


async def test_what_did_not_happen_is_not_told(database, audit):
    async def fail():
        async with database.write() as connection:
            await audit.record(connection, Change("a", "b", "c", None, {}))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    async with database.read() as connection:
        assert (await connection.execute(select(audit_log))).all() == []
