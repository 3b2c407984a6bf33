from __future__ import annotations

import pytest
from sqlalchemy import delete, insert, select, update

from byoi_console.accounts.sign_ins import (
    ABSOLUTE_SECONDS,
    IDLE_SECONDS,
    SignIns,
    end_sign_ins,
)
from byoi_console.errors import NotFound, Unauthenticated
from byoi_console.store.tables import members, organisations, sign_ins


@pytest.fixture
def kept(database, audit, clock):
    return SignIns(database, audit, now_ms=clock.now_ms)


@pytest.fixture
async def person(people, database):
    async with database.write() as connection:
        return await people.add(connection, "ada@example.org", "-", "Institute", actor="test")


@pytest.fixture
async def new(kept, person):
    return await kept.begin(person.person_id, person.org_id, peer="10.0.0.1", browser="Test/1")


async def test_a_token_says_who_it_is(kept, person, new):
    found = await kept.look(new.token)
    assert (found.person_id, found.email) == (person.person_id, "ada@example.org")
    assert found.organisation.name == "Institute"
    assert found.principal.is_admin
    assert len(found.csrf_token) >= 40
    assert found.csrf_token != new.token


async def test_a_password_that_was_changed_meanwhile_lets_nobody_in(kept, person, people, database):
    await kept.begin(person.person_id, person.org_id, password_hash="-")
    async with database.write() as connection:
        await people.set_password(connection, person, "another", actor="test")
    with pytest.raises(Unauthenticated):
        await kept.begin(person.person_id, person.org_id, password_hash="-")
    assert await kept.list(person.person_id) == []


@pytest.mark.parametrize("token", [None, "", "x", "x" * 10_000, "' OR 1=1 --"])
async def test_another_token_is_nobody_s(kept, new, token):
    assert await kept.look(token) is None


async def test_neither_token_nor_idle_browser_is_kept_for_ever(kept, new, database, clock):
    async with database.read() as connection:
        row = (await connection.execute(select(sign_ins))).one()
    assert new.token not in repr(row)
    assert row.expires_at_ms == clock.now_ms() + ABSOLUTE_SECONDS * 1000
    clock.seconds += IDLE_SECONDS
    assert await kept.look(new.token) is None


async def test_a_look_is_a_sign_of_life_but_not_a_write_each_time(kept, new, database, clock):
    async def seen():
        async with database.read() as connection:
            return (await connection.execute(select(sign_ins.c.last_seen_at_ms))).scalar_one()

    first = await seen()
    clock.seconds += 59
    await kept.look(new.token)
    assert await seen() == first
    clock.seconds += 1
    await kept.look(new.token)
    assert await seen() == clock.now_ms()


async def test_the_browser_s_earlier_sign_in_ends_with_the_next(kept, person, new):
    again = await kept.begin(person.person_id, person.org_id, instead_of=new.token)
    assert await kept.look(new.token) is None
    assert await kept.look(again.token)
    assert again.token != new.token


async def test_whoever_administers_nothing_any_more_is_signed_out(kept, person, new, database):
    async with database.write() as connection:
        await connection.execute(update(members).values(role="member"))
    assert await kept.look(new.token) is None
    async with database.write() as connection:
        await connection.execute(delete(members))
    assert await kept.look(new.token) is None


async def test_who_loses_the_chosen_organisation_sees_another(kept, person, new, database):
    async with database.write() as connection:
        row = {"id": "org_two", "name": "Two", "created_at_ms": 9_000_000_000_000}
        await connection.execute(insert(organisations).values(row))
        member = {"person_id": person.person_id, "org_id": "org_two", "role": "admin"}
        await connection.execute(insert(members).values(member))
    await kept.choose(await kept.look(new.token), "org_two")
    found = await kept.look(new.token)
    assert found.organisation.id == "org_two"
    assert [each.name for each in found.organisations] == ["Institute", "Two"]
    async with database.write() as connection:
        await connection.execute(delete(members).where(members.c.org_id == "org_two"))
    assert (await kept.look(new.token)).organisation.id == person.org_id
    with pytest.raises(NotFound):
        await kept.choose(found, "org_three")


async def test_all_of_a_person_s_sign_ins_end_but_one(kept, person, new, database, clock):
    other = await kept.begin(person.person_id, person.org_id)
    assert len(await kept.list(person.person_id)) == 2
    async with database.write() as connection:
        await end_sign_ins(connection, person.person_id, clock.now_ms(), but=new.id)
    assert await kept.look(other.token) is None
    [left] = await kept.list(person.person_id)
    assert (left.id, left.peer, left.browser) == (new.id, "10.0.0.1", "Test/1")
    assert await kept.living([new.id, other.id]) == {new.id}


async def test_long_words_of_a_browser_are_cut(kept, person, database):
    await kept.begin(person.person_id, person.org_id, peer="p" * 999, browser="b" * 9999)
    [facts] = await kept.list(person.person_id)
    assert (len(facts.peer), len(facts.browser)) == (64, 200)


async def test_signing_in_and_out_is_in_the_audit_log(kept, person, new, audit):
    await kept.end(person.person_id, new.id)
    assert await audit.first_broken() is None
    with pytest.raises(NotFound):
        await kept.end(person.person_id, new.id)
