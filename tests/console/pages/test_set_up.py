from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import select

from byoi_console.accounts.one_time_links import LIFE_SECONDS
from byoi_console.store.tables import members, organisations, people


@pytest.fixture
def typed(constants):
    password = constants.password
    return {
        "organisation": "  Institute of\u00a0Weather ",
        "email": constants.email,
        "password": password,
        "again": password,
    }


async def everybody(database):
    async with database.read() as connection:
        return (await connection.execute(select(people.c.email))).scalars().all()


async def test_the_first_administrator_comes_in_by_the_link(rooms, stranger, typed, database):
    path = await rooms.links.for_first_admin()
    assert "Welcome" in (await stranger.get(path)).text
    answer = await stranger.post(path, typed)
    assert (answer.status, answer.location) == (303, "/")
    assert "Institute of Weather" in (await stranger.get("/")).text
    async with database.read() as connection:
        [name] = (await connection.execute(select(organisations.c.name))).scalars().all()
        [member] = (await connection.execute(select(members))).all()
    assert (name, member.role) == ("Institute of Weather", "admin")


async def test_the_link_is_good_once(rooms, stranger, typed, database):
    path = await rooms.links.for_first_admin()
    await stranger.post(path, typed)
    stranger.cookie = None
    for answer in (
        await stranger.get(path),
        await stranger.post(path, {**typed, "email": "eve@example.org"}),
    ):
        assert answer.status == 404
        assert "used already" in answer.text
    assert await everybody(database) == [typed["email"]]
    assert await rooms.links.for_first_admin() is None


async def test_of_two_who_race_for_the_link_exactly_one_wins(rooms, stranger, typed, database):
    path = await rooms.links.for_first_admin()
    runs = [
        asyncio.ensure_future(stranger.post(path, {**typed, "email": f"{name}@example.org"}))
        for name in ("ada", "bob", "eve")
    ]
    statuses = sorted([(await run).status for run in runs])
    assert statuses == [303, 404, 404]
    assert len(await everybody(database)) == 1


async def test_a_day_later_the_link_is_no_more(rooms, stranger, typed, clock):
    path = await rooms.links.for_first_admin()
    clock.seconds += LIFE_SECONDS
    assert (await stranger.post(path, typed)).status == 404


async def test_a_newer_link_ends_the_older(rooms, stranger):
    first, second = await rooms.links.for_first_admin(), await rooms.links.for_first_admin()
    assert (await stranger.get(first)).status == 404
    assert (await stranger.get(second)).status == 200


async def test_somebody_made_at_the_command_line_ends_the_link(rooms, stranger, typed):
    path = await rooms.links.for_first_admin()
    await rooms.people.create_admin("bob@example.org")
    assert (await stranger.get(path)).status == 404
    assert (await stranger.post(path, typed)).status == 404


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("password", "too short", "at least 12"),
        ("password", "a" * 1025, "at most 1,024 bytes"),
        ("password", "ada@example.org", "must not be the email"),
        ("password", "aaaaaaaaaaaaaa", "again and again"),
        ("again", "another password", "not the same"),
        ("email", "nobody", "not an email"),
        ("organisation", " ", "1 to 200"),
        ("organisation", "a" * 201, "1 to 200"),
    ],
)
async def test_a_field_that_cannot_be_is_told_and_the_link_stays_good(
    rooms, stranger, typed, field, value, words
):
    path = await rooms.links.for_first_admin()
    wrong = {**typed, field: value}
    if field == "password":
        wrong["again"] = value
    answer = await stranger.post(path, wrong)
    assert answer.status == 400
    assert words in answer.text
    assert typed["password"] not in answer.text
    if field != "email":
        assert typed["email"] in answer.text, "what was typed well is kept"
    assert (await stranger.get(path)).status == 200


async def test_another_site_s_form_does_not_use_the_link(rooms, stranger, typed):
    path = await rooms.links.for_first_admin()
    assert (await stranger.post(path, typed, origin="https://evil.example")).status == 403
    assert (await stranger.get(path)).status == 200


async def test_a_reset_link_changes_the_password_and_ends_every_browser(
    rooms, person, browser, stranger, constants
):
    path = await rooms.links.for_password(person)
    assert constants.email in (await stranger.get(path)).text
    new = {"password": "some other words", "again": "some other words"}
    wrong = await stranger.post(path, {**new, "again": "not these words"})
    assert (wrong.status, "not the same" in wrong.text) == (400, True)
    answer = await stranger.post(path, new)
    assert (answer.status, answer.location) == (303, "/")
    assert (await stranger.get("/")).status == 200, "whoever used the link is signed in"
    assert (await browser.get("/")).status == 303, "every other browser is not"
    assert await rooms.people.sign_in(constants.email, "some other words")
    assert (await stranger.post(path, new)).status == 404, "the link is good once"


async def test_a_link_of_one_kind_does_not_open_the_other_door(rooms, stranger, person, typed):
    path = await rooms.links.for_password(person)
    assert (await stranger.post(path.replace("reset-password", "setup"), typed)).status == 404
