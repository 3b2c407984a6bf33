from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import select

from byoi_console.accounts.colleagues import Colleagues
from byoi_console.accounts.one_time_links import LIFE_SECONDS, OneTimeLinks
from byoi_console.accounts.sign_ins import SignIns
from byoi_console.errors import InputInvalid, NotFound, Unauthenticated
from byoi_console.store.tables import people as people_table

PASSWORD = "a few words are fine"


@pytest.fixture
def links(database, audit, people, clock):
    return OneTimeLinks(database, audit, people, now_ms=clock.now_ms)


@pytest.fixture
def colleagues(database, audit, links, clock):
    return Colleagues(database, audit, links, now_ms=clock.now_ms)


@pytest.fixture
async def ada(people, clock):
    made = await people.create_admin("ada@example.org")
    clock.seconds += 1
    return made


@pytest.fixture
def come(links):
    """Use an invitation."""

    async def accept(path, password=PASSWORD):
        return await links.set_password(path.rpartition("/")[2], password, "invitation")

    return accept


async def test_who_is_invited_chooses_a_password_and_administers(colleagues, people, ada, come):
    path = await colleagues.invite(ada.org_id, " Grace@Example.org ", ada.person_id)
    first, second = await colleagues.list(ada.org_id)
    assert (first.email, first.invited_until_ms) == ("ada@example.org", None)
    assert second.email == "grace@example.org"
    assert second.invited_until_ms > second.since_ms
    await come(path)
    signed_in = await people.sign_in("grace@example.org", PASSWORD)
    assert signed_in.org_id == ada.org_id
    assert (await colleagues.list(ada.org_id))[1].invited_until_ms is None


@pytest.mark.parametrize("password", ["", PASSWORD, "$argon2id$"])
async def test_before_they_have_come_no_password_lets_them_in(colleagues, people, ada, password):
    await colleagues.invite(ada.org_id, "grace@example.org", ada.person_id)
    with pytest.raises(Unauthenticated):
        await people.sign_in("grace@example.org", password)


async def test_an_invitation_is_good_once_and_for_a_day(colleagues, ada, come, clock):
    path = await colleagues.invite(ada.org_id, "grace@example.org", ada.person_id)
    clock.seconds += LIFE_SECONDS
    with pytest.raises(NotFound):
        await come(path)
    again = await colleagues.invite(ada.org_id, "grace@example.org", ada.person_id)
    newest = await colleagues.invite(ada.org_id, "grace@example.org", ada.person_id)
    with pytest.raises(NotFound):
        await come(again)
    await come(newest)
    with pytest.raises(NotFound):
        await come(newest)
    assert len(await colleagues.list(ada.org_id)) == 2


async def test_an_invitation_is_no_reset_link_nor_the_other_way_round(
    colleagues, links, people, ada
):
    path = await colleagues.invite(ada.org_id, "grace@example.org", ada.person_id)
    reset = await links.for_password(await people.named("ada@example.org"))
    for token, purpose in ((path, "reset-password"), (reset, "invitation")):
        with pytest.raises(NotFound):
            await links.set_password(token.rpartition("/")[2], PASSWORD, purpose)


@pytest.mark.parametrize("email", ["ada@example.org", "ADA@example.org", "nobody", ""])
async def test_who_is_here_or_has_no_email_cannot_be_invited(colleagues, ada, email):
    with pytest.raises(InputInvalid):
        await colleagues.invite(ada.org_id, email, ada.person_id)
    assert len(await colleagues.list(ada.org_id)) == 1


async def test_who_is_taken_out_is_signed_out_and_cannot_come_back(
    colleagues, links, people, ada, come, database, audit, clock
):
    sign_ins = SignIns(database, audit, now_ms=clock.now_ms)
    path = await colleagues.invite(ada.org_id, "grace@example.org", ada.person_id)
    grace = await come(path)
    browser = await sign_ins.begin(grace.person_id, grace.org_id)
    reset = await links.for_password(grace)
    await colleagues.remove(ada.org_id, grace.person_id, ada.person_id)
    assert await sign_ins.look(browser.token) is None
    with pytest.raises(Unauthenticated):
        await people.sign_in("grace@example.org", PASSWORD)
    with pytest.raises(NotFound):
        await links.set_password(reset.rpartition("/")[2], PASSWORD, "reset-password")
    with pytest.raises(NotFound):
        await colleagues.remove(ada.org_id, grace.person_id, ada.person_id)
    assert await audit.first_broken() is None


async def test_who_was_taken_out_may_be_invited_again(colleagues, people, ada, come):
    grace = await come(await colleagues.invite(ada.org_id, "grace@example.org", ada.person_id))
    await colleagues.remove(ada.org_id, grace.person_id, ada.person_id)
    path = await colleagues.invite(ada.org_id, "grace@example.org", ada.person_id)
    assert (await come(path, "another password")).person_id == grace.person_id
    await people.sign_in("grace@example.org", "another password")


async def test_the_time_of_who_comes_again_begins_anew(colleagues, people, ada, come, clock):
    grace = await come(await colleagues.invite(ada.org_id, "grace@example.org", ada.person_id))
    await colleagues.remove(ada.org_id, grace.person_id, ada.person_id)
    clock.seconds += 3600
    path = await colleagues.invite(ada.org_id, "grace@example.org", ada.person_id)
    invited_ms = clock.now_ms()
    clock.seconds += 60
    await colleagues.invite(ada.org_id, "grace@example.org", ada.person_id)  # another link
    assert (await colleagues.list(ada.org_id))[1].since_ms == invited_ms
    with pytest.raises(NotFound):
        await come(path)


async def test_who_was_taken_out_can_be_made_an_administrator_at_the_command_line(
    colleagues, people, ada, come, clock
):
    grace = await come(await colleagues.invite(ada.org_id, "grace@example.org", ada.person_id))
    await colleagues.remove(ada.org_id, grace.person_id, ada.person_id)
    clock.seconds += 3600
    again = await people.create_admin("grace@example.org")
    assert again.person_id == grace.person_id
    assert (await people.sign_in("grace@example.org", again.password)).org_id == ada.org_id
    assert (await colleagues.list(ada.org_id))[1].since_ms == clock.now_ms()


async def test_who_is_invited_is_not_made_an_administrator_a_second_time(
    colleagues, people, ada, come
):
    path = await colleagues.invite(ada.org_id, "grace@example.org", ada.person_id)
    with pytest.raises(InputInvalid, match=r"invited already.*reset-password --email grace@"):
        await people.create_admin("grace@example.org")
    await come(path)
    with pytest.raises(InputInvalid, match="has an account"):
        await people.create_admin("grace@example.org")


async def test_an_invitation_can_be_taken_back(colleagues, ada, come):
    path = await colleagues.invite(ada.org_id, "grace@example.org", ada.person_id)
    _, grace = await colleagues.list(ada.org_id)
    await colleagues.remove(ada.org_id, grace.person_id, ada.person_id)
    with pytest.raises(NotFound):
        await come(path)


async def test_of_two_who_take_each_other_out_one_stays(colleagues, ada, come):
    grace = await come(await colleagues.invite(ada.org_id, "grace@example.org", ada.person_id))
    with pytest.raises(InputInvalid):
        await colleagues.remove(ada.org_id, ada.person_id, ada.person_id)
    ends = await asyncio.gather(
        colleagues.remove(ada.org_id, ada.person_id, grace.person_id),
        colleagues.remove(ada.org_id, grace.person_id, ada.person_id),
        return_exceptions=True,
    )
    assert sorted(type(end).__name__ for end in ends) == ["NoneType", "NotFound"]
    assert len(await colleagues.list(ada.org_id)) == 1


async def test_another_organisation_s_people_are_not_there(colleagues, ada, database):
    with pytest.raises(NotFound):
        await colleagues.remove("org_other", "person_none", ada.person_id)
    assert await colleagues.list("org_other") == []
    async with database.read() as connection:
        assert len((await connection.execute(select(people_table))).all()) == 1
