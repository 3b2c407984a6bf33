from __future__ import annotations

import pytest
from sqlalchemy import insert

from byoi_console.errors import Unauthenticated
from byoi_console.store.tables import members

NEW = "quite other words"


@pytest.fixture
async def known(rooms, person, database, constants):
    """The person's own password, set."""
    hashed = await rooms.people.hashed(constants.password, constants.email)
    async with database.write() as connection:
        await rooms.people.set_password(connection, person, hashed, actor="test")


async def test_another_password_ends_every_other_browser(
    known, app, rooms, person, browser, constants
):
    this = await rooms.sign_ins.begin(person.person_id, person.org_id)
    browser.cookie = this.token
    other = await rooms.sign_ins.begin(person.person_id, person.org_id)
    await browser.learn_csrf()
    fields = {"current": constants.password, "password": NEW, "again": NEW}
    assert (await browser.post("/account/password", fields)).location == "/account?done=password"
    assert (await browser.get("/account")).status == 200
    assert await rooms.sign_ins.look(other.token) is None
    assert await rooms.people.sign_in(constants.email, NEW)
    with pytest.raises(Unauthenticated):
        await rooms.people.sign_in(constants.email, constants.password)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"current": "wrong"}, "current password is wrong"),
        ({"again": "not the same words"}, "not the same"),
        ({"password": "short", "again": "short"}, "at least 12"),
    ],
)
async def test_a_password_that_cannot_be_changed_is_told(
    known, browser, rooms, person, constants, fields, words
):
    browser.cookie = (await rooms.sign_ins.begin(person.person_id, person.org_id)).token
    await browser.learn_csrf()
    right = {"current": constants.password, "password": NEW, "again": NEW}
    answer = await browser.post("/account/password", {**right, **fields})
    assert answer.status == 400
    assert words in answer.text
    assert await rooms.people.sign_in(constants.email, constants.password)


async def test_one_browser_can_sign_another_one_out(browser, rooms, person):
    agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
    other = await rooms.sign_ins.begin(
        person.person_id, person.org_id, peer="10.1.2.3", browser=agent
    )
    page = (await browser.get("/account")).text
    assert "Firefox on Linux" in page
    assert "10.1.2.3" in page
    answer = await browser.post(f"/account/sign-ins/{other.id}/end")
    assert answer.location == "/account?done=ended"
    assert await rooms.sign_ins.look(other.token) is None
    assert (await browser.post(f"/account/sign-ins/{other.id}/end")).status == 404


async def test_nobody_signs_somebody_else_out(browser, rooms, database):
    async with database.write() as connection:
        bob = await rooms.people.add(connection, "bob@example.org", "-", "x", actor="test")
    other = await rooms.sign_ins.begin(bob.person_id, bob.org_id)
    assert (await browser.post(f"/account/sign-ins/{other.id}/end")).status == 404
    assert await rooms.sign_ins.look(other.token)


async def test_the_organisation_can_be_renamed(browser, audit):
    answer = await browser.post("/account/organisation/name", {"name": "  New   name "})
    assert answer.location == "/account?done=renamed"
    assert "New name" in (await browser.get("/")).text
    assert (await browser.post("/account/organisation/name", {"name": ""})).status == 400
    assert (await browser.post("/account/organisation/name", {"name": "a\u202eb"})).status == 400
    assert await audit.first_broken() is None


async def test_whoever_administers_two_organisations_chooses_one(
    browser, person, database, other_org
):
    member = {"person_id": person.person_id, "org_id": other_org, "role": "admin"}
    async with database.write() as connection:
        await connection.execute(insert(members).values(member))
    page = (await browser.get("/")).text
    assert f'<option value="{other_org}">The other</option>' in page
    await browser.post("/account/organisation", {"organisation": other_org})
    assert f'<option value="{other_org}" selected>' in (await browser.get("/")).text
    for other in ("org_none", "", person.org_id[:-1]):
        answer = await browser.post("/account/organisation", {"organisation": other})
        assert answer.status == 404
