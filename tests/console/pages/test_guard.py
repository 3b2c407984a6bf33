from __future__ import annotations

import pytest


async def test_the_way_back_is_kept(stranger):
    assert (await stranger.get("/")).location == "/sign-in"
    assert (await stranger.get("/keys?page=2")).location == "/sign-in?next=%2Fkeys%3Fpage%3D2"
    assert (await stranger.post("/keys/new", {"name": "a"})).location == "/sign-in"


async def test_a_form_is_taken_by_its_token_in_the_header_as_well(browser, rooms, person):
    answer = await browser.post("/keys/new", {"name": "a"}, csrf=None, x_csrf_token=browser.csrf)
    assert answer.status == 201


async def test_another_person_s_token_is_worth_nothing(browser, rooms, person):
    other = await rooms.sign_ins.begin(person.person_id, person.org_id)
    token = (await rooms.sign_ins.look(other.token)).csrf_token
    assert (await browser.post("/keys/new", {"name": "a"}, csrf=token)).status == 403
    assert not await rooms.keys.list(person.org_id)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"name": "a"}', "application/json"),
        (b"--x\r\n", "multipart/form-data; boundary=x"),
        (b"name=" + b"a" * 70_000, "application/x-www-form-urlencoded"),
        (b"&".join(b"a%d=1" % n for n in range(1000)), "application/x-www-form-urlencoded"),
        (b"name=\xff", "application/x-www-form-urlencoded"),
        (b"name=%ff", "application/x-www-form-urlencoded"),
        (b"name=a%00b", "application/x-www-form-urlencoded"),
    ],
    ids=["json", "multipart", "large", "many", "raw", "escaped", "nul"],
)
async def test_what_is_no_form_is_refused_in_a_page(browser, body, kind):
    answer = await browser("POST", "/keys/new", body, content_type=kind, x_csrf_token=browser.csrf)
    assert answer.status == 400
    assert "could not be used" in answer.text


async def test_a_browser_that_vouches_for_the_page_needs_no_matching_host(browser):
    """Behind a proxy that does not pass Host on, Sec-Fetch-Site still says whose page it was."""
    answer = await browser.post(
        "/keys/new",
        {"name": "a"},
        host="inner:8700",
        origin="https://outer.example",
        sec_fetch_site="same-origin",
    )
    assert answer.status == 201
    answer = await browser.post("/keys/new", {"name": "b"}, host="inner:8700")
    assert answer.status == 201, "the console's own origin is known"


@pytest.mark.parametrize("cookie", ["x", "a" * 5000, "é", "' OR 1=1 --", '"'])
async def test_a_cookie_that_we_never_gave_is_nobody_s(stranger, cookie):
    stranger.cookie = cookie
    assert (await stranger.get("/")).location == "/sign-in"


@pytest.mark.parametrize("by_itself", [{"x_by_timer": "1"}, {"accept": "text/event-stream"}])
async def test_a_page_that_looks_by_itself_keeps_nobody_signed_in(browser, clock, by_itself):
    for _ in range(12):
        clock.seconds += 3600 - 1
        assert (await browser.get("/", **by_itself)).status == 200
    clock.seconds += 60
    assert (await browser.get("/", **by_itself)).status == 303
