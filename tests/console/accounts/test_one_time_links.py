from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import func, select

from byoi_console.accounts.one_time_links import LIFE_SECONDS, OneTimeLinks
from byoi_console.errors import InputInvalid, NotFound
from byoi_console.store.tables import one_time_links
from byoi_console.store.tables import people as people_table

PASSWORD = "a few words are fine"


@pytest.fixture
def links(database, audit, people, clock):
    return OneTimeLinks(database, audit, people, now_ms=clock.now_ms)


def token_of(path):
    return path.rpartition("/")[2]


async def test_only_hashes_of_links_are_kept(links, database):
    token = token_of(await links.for_first_admin())
    async with database.read() as connection:
        assert token not in repr((await connection.execute(select(one_time_links))).all())
    assert len(token) >= 40


async def test_fifty_who_use_one_link_make_one_person(links, database, people, monkeypatch):
    """The hash is made before the link is taken, so they all meet at the link."""
    monkeypatch.setattr(people, "hashed", lambda *_: asyncio.sleep(0, "-"))
    token = token_of(await links.for_first_admin())
    runs = [
        asyncio.ensure_future(links.set_up(token, f"p{n}@example.org", "O", PASSWORD))
        for n in range(50)
    ]
    await asyncio.wait(runs)
    assert sum(1 for run in runs if run.exception() is None) == 1
    assert {type(run.exception()) for run in runs} == {type(None), NotFound}
    async with database.read() as connection:
        count = await connection.execute(select(func.count()).select_from(people_table))
        assert count.scalar_one() == 1


async def test_a_refused_field_does_not_use_the_link(links):
    token = token_of(await links.for_first_admin())
    with pytest.raises(InputInvalid):
        await links.set_up(token, "ada@example.org", "O", "short")
    assert (await links.look(token, "first-admin")).email is None
    assert (await links.set_up(token, "Ada@Example.org", "O", PASSWORD)).email == "ada@example.org"


async def test_a_link_for_a_password_is_its_person_s(links, people, clock):
    ada = await people.create_admin("ada@example.org")
    person = await people.named("ada@example.org")
    older = token_of(await links.for_password(person))
    token = token_of(await links.for_password(person))
    assert (await links.look(token, "reset-password")).email == "ada@example.org"
    for gone in (older, "", "x" * 5000):
        with pytest.raises(NotFound):
            await links.set_password(gone, PASSWORD, "reset-password")
    await links.set_password(token, PASSWORD, "reset-password")
    assert (await people.sign_in("ada@example.org", PASSWORD)).person_id == ada.person_id
    late = token_of(await links.for_password(person))
    clock.seconds += LIFE_SECONDS
    with pytest.raises(NotFound):
        await links.look(late, "reset-password")


async def test_a_link_ends_when_the_password_was_changed_without_it(links, people):
    ada = await people.create_admin("ada@example.org")
    token = token_of(await links.for_password(await people.named(ada.email)))
    await people.change_password(ada.email, ada.password, PASSWORD, keep="")
    with pytest.raises(NotFound):
        await links.set_password(token, "whoever found the link", "reset-password")
    assert (await people.sign_in(ada.email, PASSWORD)).person_id == ada.person_id
