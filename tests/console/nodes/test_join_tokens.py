from __future__ import annotations

from sqlalchemy import select

from byoi_console.store.identifiers import secret_hash
from byoi_console.store.tables import join_tokens as table


async def take(database, join_tokens, token):
    async with database.write() as connection:
        return await join_tokens.take(connection, token)


async def test_a_token_admits_as_often_as_it_says(database, join_tokens, org_id):
    new = await join_tokens.create(org_id, "person_1", uses=3)
    taken = [await take(database, join_tokens, new.token) for _ in range(5)]
    assert [leave and leave.org_id for leave in taken] == [org_id] * 3 + [None] * 2


async def test_a_token_expires_after_an_hour_unless_it_says_otherwise(
    database, join_tokens, org_id, clock
):
    hour = await join_tokens.create(org_id, "person_1")
    day = await join_tokens.create(org_id, "person_1", expires_in_seconds=86_400)
    clock.seconds += 3600
    assert await take(database, join_tokens, hour.token) is None
    assert await take(database, join_tokens, day.token) is not None


async def test_only_the_hash_of_a_token_is_kept(database, join_tokens, org_id):
    new = await join_tokens.create(org_id, "person_1")
    async with database.read() as connection:
        row = (await connection.execute(select(table))).one()
    assert row.token_hash == secret_hash(new.token)
    assert new.token not in repr(row)


async def test_an_unknown_token_admits_nobody(database, join_tokens):
    assert await take(database, join_tokens, "byoi-join-' OR 1=1 --") is None
