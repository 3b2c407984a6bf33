from __future__ import annotations

import asyncio
import base64

import pytest
from sqlalchemy import select, update

from byoi_console.accounts.sign_ins import SignIns
from byoi_console.errors import InputInvalid, TooManyAttempts, Unauthenticated
from byoi_console.store.tables import members, organisations
from byoi_console.store.tables import people as people_table


@pytest.fixture
def sign_ins(database, audit, clock):
    return SignIns(database, audit, now_ms=clock.now_ms)


@pytest.fixture
def asked(database, monkeypatch):
    """Each look into the database."""
    looks, read = [], database.read
    monkeypatch.setattr(database, "read", lambda: looks.append("read") or read())
    return looks


def basic(email, password):
    return "Basic " + base64.b64encode(f"{email}:{password}".encode()).decode()


async def test_an_admin_signs_in_with_email_and_password(people):
    made = await people.create_admin("Ada@Example.org")
    principal = await people.authenticate(basic("ada@example.org", made.password))
    assert principal.is_admin
    assert principal.org_id == made.org_id
    assert principal.key_id == made.person_id
    await people.authenticate(basic("ADA@example.ORG", made.password))


async def test_the_second_admin_joins_the_same_organisation(people, database):
    first = await people.create_admin("a@example.org")
    second = await people.create_admin("b@example.org")
    assert first.org_id == second.org_id
    async with database.read() as connection:
        assert len((await connection.execute(select(organisations))).all()) == 1
        assert len((await connection.execute(select(members))).all()) == 2


async def test_an_email_is_taken_once(people):
    await people.create_admin("a@example.org")
    with pytest.raises(InputInvalid):
        await people.create_admin("A@example.org")


@pytest.mark.parametrize("email", ["", "a", "@b", "a@", "a\n@b.org", "a" * 400 + "@b.org"])
async def test_what_is_no_email_is_refused(people, email):
    with pytest.raises(InputInvalid):
        await people.create_admin(email)


async def test_the_password_is_kept_as_argon2_only(people, database):
    made = await people.create_admin("a@example.org")
    async with database.read() as connection:
        row = (await connection.execute(select(people_table))).one()
    assert row.password_hash.startswith("$argon2id$")
    assert made.password not in repr(row)


@pytest.mark.parametrize(
    "authorization",
    [
        "Basic",
        "Basic !!!",
        "Basic " + base64.b64encode(b"\xff\xfe").decode(),
        "Basic " + base64.b64encode(b"no colon").decode(),
        "Basic " + "a" * 4096,
        "Bearer abc",
        basic("a@example.org", "wrong"),
        basic("nobody@example.org", "wrong"),
        basic("a@example.org\x00", "' OR 1=1 --"),
    ],
    ids=range(9),
)
async def test_a_wrong_credential_is_no_more_than_wrong(people, authorization):
    await people.create_admin("a@example.org")
    with pytest.raises(Unauthenticated):
        await people.authenticate(authorization)


async def test_guessing_at_one_email_is_slowed_from_wherever_it_comes(people, clock):
    made = await people.create_admin("a@example.org")
    for number in range(5):
        with pytest.raises(Unauthenticated):
            await people.authenticate(basic("a@example.org", "x"), peer=f"10.0.0.{number}")
    with pytest.raises(TooManyAttempts):
        await people.authenticate(basic("a@example.org", made.password), peer="10.0.0.9")
    clock.seconds += 21
    await people.authenticate(basic("a@example.org", made.password), peer="10.0.0.9")


async def test_strangers_cannot_keep_a_person_out_where_they_have_signed_in_from(
    people, sign_ins, clock
):
    made = await people.create_admin("a@example.org")
    await sign_ins.begin(made.person_id, made.org_id, peer="2001:db8:0:1::7")
    usual, other = "2001:db8:0:1::8", "2001:db8:0:2::7"
    for number in range(5):
        with pytest.raises(Unauthenticated):
            await people.sign_in(made.email, "x", peer=f"10.0.0.{number}")
    with pytest.raises(TooManyAttempts):
        await people.sign_in(made.email, made.password, peer=other)
    await people.sign_in(made.email, made.password, peer=usual)
    for _ in range(5):
        with pytest.raises(Unauthenticated):
            await people.sign_in(made.email, "x", peer=usual)
    with pytest.raises(TooManyAttempts):
        await people.sign_in(made.email, made.password, peer=usual)
    clock.seconds += 31 * 24 * 3600
    for number in range(5):
        with pytest.raises(Unauthenticated):
            await people.sign_in(made.email, "x", peer=f"10.0.0.{number}")
    with pytest.raises(TooManyAttempts):
        await people.sign_in(made.email, made.password, peer=usual)


@pytest.mark.parametrize("email", ["a@example.org", "nobody@example.org"])
async def test_for_an_unknown_email_as_much_is_looked_up_as_for_a_known_one(people, email, asked):
    await people.create_admin("a@example.org")
    asked.clear()
    with pytest.raises(Unauthenticated):
        await people.sign_in(email, "x", peer="10.0.0.1")
    assert len(asked) == 2


async def test_what_a_person_mistypes_at_home_holds_up_nobody_elsewhere(people, sign_ins):
    made = await people.create_admin("a@example.org")
    await sign_ins.begin(made.person_id, made.org_id, peer="10.0.0.1")
    for _ in range(5):
        with pytest.raises(Unauthenticated):
            await people.sign_in(made.email, "x", peer="10.0.0.1")
    await people.sign_in(made.email, made.password, peer="10.0.0.2")


async def test_guesses_sent_all_at_once_are_no_more_than_those_sent_one_by_one(people):
    made = await people.create_admin("a@example.org")
    guesses = [
        people.sign_in(made.email, f"guess {number}", peer="10.0.0.1") for number in range(40)
    ]
    ends = [type(end) for end in await asyncio.gather(*guesses, return_exceptions=True)]
    # One more may be under way in the second thread when the last try is spent.
    assert 5 <= ends.count(Unauthenticated) <= 6
    assert ends.count(TooManyAttempts) == 40 - ends.count(Unauthenticated)


async def test_an_address_given_as_an_email_locks_nobody_there_out(people):
    made = await people.create_admin("a@example.org")
    for _ in range(5):
        with pytest.raises(Unauthenticated):
            await people.sign_in("192.0.2.7", "x", peer="10.0.0.1")
    await people.sign_in(made.email, made.password, peer="192.0.2.7")


async def test_a_password_that_is_none_any_more_changes_nothing(people, database, monkeypatch):
    """It was reset, or its owner taken out, while the hash of the next one was made."""
    ada = await people.create_admin("ada@example.org")
    hashed = people.hashed

    async def reset_meanwhile(password, email):
        async with database.write() as connection:
            query = update(people_table).where(people_table.c.id == ada.person_id)
            await connection.execute(query.values(password_hash="another"))
        return await hashed(password, email)

    monkeypatch.setattr(people, "hashed", reset_meanwhile)
    with pytest.raises(InputInvalid, match="current password is wrong"):
        await people.change_password(ada.email, ada.password, "quite another long one", keep="")
    async with database.read() as connection:
        assert await connection.scalar(select(people_table.c.password_hash)) == "another"
