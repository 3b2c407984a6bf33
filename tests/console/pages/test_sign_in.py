from __future__ import annotations

import pytest
from sqlalchemy import select

from byoi_console.accounts.sign_ins import ABSOLUTE_SECONDS, IDLE_SECONDS
from byoi_console.pages.app import build_pages
from byoi_console.store.tables import sign_ins


@pytest.fixture
async def account(rooms, database, constants):
    """Somebody who knows their password."""
    hashed = await rooms.people.hashed(constants.password, constants.email)
    async with database.write() as connection:
        return await rooms.people.add(
            connection, constants.email, hashed, "Institute", actor="test"
        )


@pytest.fixture
def right(constants):
    return {"email": constants.email.upper(), "password": constants.password}


async def test_email_and_password_lead_to_the_page_that_was_asked_for(stranger, account, right):
    answer = await stranger.post("/sign-in", {**right, "next": "/keys?page=2"})
    assert (answer.status, answer.location) == (303, "/keys?page=2")
    assert (await stranger.get("/keys")).status == 200
    assert (await stranger.get("/sign-in?next=/usage")).location == "/usage"


@pytest.mark.parametrize(
    "onward",
    [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "\\\\evil",
        "/a\nb",
        "javascript:",
    ],
)
async def test_the_way_on_never_leaves_the_console(stranger, account, right, onward):
    assert (await stranger.post("/sign-in", {**right, "next": onward})).location == "/"


async def test_the_cookie_is_out_of_reach_of_scripts_and_of_other_sites(stranger, account, right):
    await stranger.post("/sign-in", right)
    [cookie] = stranger.set_cookies
    attributes = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert {"httponly", "samesite=lax", "path=/"} <= attributes
    assert "secure" not in attributes, "the console is reached without https"


async def test_with_https_the_cookie_is_kept_to_it(rooms, account, right, stranger):
    secure = type(rooms)(**{**vars(rooms), "url": "https://console"})
    stranger.app, stranger.origin = build_pages(secure), "https://console"
    await stranger.post("/sign-in", right)
    assert "secure" in stranger.set_cookies[0].lower()


async def test_where_the_cookie_would_be_lost_the_right_address_is_told(
    rooms, account, right, stranger
):
    secure = type(rooms)(**{**vars(rooms), "url": "https://console"})
    stranger.app, stranger.origin = build_pages(secure), "http://10.0.0.5:8700"
    answer = await stranger.post("/sign-in", right)
    assert answer.status == 400
    assert "Sign in at https://console" in answer.text
    assert stranger.cookie is None
    stranger.origin = "http://localhost:8700"
    assert (await stranger.post("/sign-in", right)).status == 303


async def test_a_password_changed_while_it_was_looked_at_lets_nobody_in(
    rooms, account, right, stranger, database, monkeypatch
):
    look = rooms.people.sign_in

    async def slowly(email, password, **where):
        person = await look(email, password, **where)
        async with database.write() as connection:
            await rooms.people.set_password(connection, person, "another", actor="test")
        return person

    monkeypatch.setattr(rooms.people, "sign_in", slowly)
    answer = await stranger.post("/sign-in", right)
    assert answer.status == 403
    assert "Wrong email or password" in answer.text
    assert stranger.cookie is None


async def test_a_wrong_password_and_an_unknown_email_look_the_same(stranger, account, right):
    wrong = await stranger.post("/sign-in", {**right, "password": "wrong"})
    unknown = await stranger.post("/sign-in", {**right, "email": "bob@example.org"})
    assert wrong.status == unknown.status == 403
    assert wrong.text.replace(right["email"], "") == unknown.text.replace("bob@example.org", "")
    assert stranger.cookie is None


async def test_guessing_is_slowed_and_told_so(stranger, account, right, clock):
    for number in range(5):
        stranger.peer = f"10.0.0.{number}"
        await stranger.post("/sign-in", {**right, "password": "wrong"})
    stranger.peer = "10.0.0.9"
    answer = await stranger.post("/sign-in", right)
    assert answer.status == 429
    assert int(answer.headers["retry-after"]) > 0
    assert "Too many attempts" in answer.text
    clock.seconds += 21
    assert (await stranger.post("/sign-in", right)).status == 303


async def test_a_token_from_before_the_sign_in_is_not_the_one_after_it(stranger, account, right):
    """Session fixation: what somebody else put into the browser never becomes a sign-in."""
    stranger.cookie = planted = "planted-by-somebody-else"
    await stranger.post("/sign-in", right)
    assert stranger.cookie != planted
    first = stranger.cookie
    await stranger.post("/sign-in", right)
    assert stranger.cookie != first
    stranger.cookie = first
    assert (await stranger.get("/")).status == 303, "the earlier sign-in of this browser has ended"


async def test_another_site_cannot_sign_a_browser_in(stranger, account, right):
    answer = await stranger.post("/sign-in", right, origin="https://evil.example")
    assert (answer.status, stranger.cookie) == (403, None)


async def test_signing_out_ends_the_token_and_not_only_the_cookie(browser):
    token = browser.cookie
    answer = await browser.post("/sign-out")
    assert (answer.location, browser.cookie) == ("/sign-in", None)
    browser.cookie = token
    assert (await browser.get("/")).status == 303


async def test_a_browser_that_rests_too_long_is_signed_out(browser, clock):
    for _ in range(3):
        clock.seconds += IDLE_SECONDS - 1
        assert (await browser.get("/")).status == 200, "each look begins the time anew"
    clock.seconds += IDLE_SECONDS + 1
    assert (await browser.get("/")).status == 303


async def test_after_a_week_everybody_signs_in_again(browser, clock):
    for _ in range(ABSOLUTE_SECONDS // IDLE_SECONDS):
        assert (await browser.get("/")).status == 200
        clock.seconds += IDLE_SECONDS - 1
    clock.seconds += 60
    assert (await browser.get("/")).status == 303


async def test_only_hashes_of_tokens_are_kept(browser, database):
    async with database.read() as connection:
        rows = repr((await connection.execute(select(sign_ins))).all())
    assert "signin_" in rows
    assert browser.cookie not in rows
