from __future__ import annotations

import re

import pytest

from byoi_console.accounts.one_time_links import LIFE_SECONDS

GRACE = "grace@example.org"


async def invited(browser, rooms):
    """Where the link leads that the page shows."""
    answer = await browser.post("/people", {"email": GRACE})
    assert answer.status == 201
    return re.search(rf"{rooms.url}(/invitation/[\w-]+)", answer.text)[1]


async def test_a_second_person_comes_by_a_link_that_is_shown_once(
    browser, stranger, rooms, constants
):
    path = await invited(browser, rooms)
    page = (await browser.get("/people")).text
    assert path not in page
    assert ">invited<" in page
    shown = await stranger.get(path)
    assert GRACE in shown.text
    assert "You are invited" in shown.text
    wrong = await stranger.post(path, {"password": "short", "again": "short"})
    assert (wrong.status, "at least 12" in wrong.text) == (400, True)
    chosen = {"password": constants.password, "again": constants.password}
    answer = await stranger.post(path, chosen)
    assert (answer.status, answer.location) == (303, "/")
    assert GRACE in (await stranger.get("/account")).text
    assert (await stranger.get(path)).status == 404
    assert ">invited<" not in (await browser.get("/people")).text


@pytest.mark.parametrize("email", ["", "nobody", "ada@example.org"])
async def test_a_wrong_email_is_told_and_kept(browser, email):
    answer = await browser.post("/people", {"email": email})
    assert answer.status == 400
    assert 'role="alert"' in answer.text
    assert f'value="{email}"' in answer.text


async def test_an_invitation_that_nobody_took_up_is_told(browser, rooms, person, clock):
    await invited(browser, rooms)
    clock.seconds += LIFE_SECONDS + 1
    browser.cookie = (await rooms.sign_ins.begin(person.person_id, person.org_id)).token
    assert ">never came<" in (await browser.get("/people")).text


async def test_taking_somebody_out_asks_first_and_is_done_once(
    browser, stranger, rooms, person, constants
):
    path = await invited(browser, rooms)
    chosen = {"password": constants.password, "again": constants.password}
    await stranger.post(path, chosen)
    grace = next(one for one in await rooms.colleagues.list(person.org_id) if one.email == GRACE)
    page = f"/people/{grace.person_id}/remove"
    assert GRACE in (await browser.get(page)).text
    assert (await browser.post(page)).location == "/people?done=removed"
    assert (await browser.post(page)).status == 404
    assert (await stranger.get("/")).status == 303
    assert GRACE not in (await browser.get("/people")).text


async def test_nobody_takes_themselves_out(browser, person):
    page = f"/people/{person.person_id}/remove"
    assert (await browser.get(page)).status == 404
    assert (await browser.post(page)).status == 404
    assert "remove" not in (await browser.get("/people")).text


async def test_without_the_form_s_token_nobody_is_invited(browser, rooms, person):
    answer = await browser.post("/people", {"email": GRACE}, csrf="wrong")
    assert answer.status == 403
    assert len(await rooms.colleagues.list(person.org_id)) == 1
