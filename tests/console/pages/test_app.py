"""What holds for every page: who may see it, what its answer says of itself, what it escapes."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser

import pytest
from sqlalchemy.exc import OperationalError
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from byoi_console.accounts.keys import KeyRequest
from byoi_console.pages.headers import HEADERS

OPEN = {
    "/sign-in",
    "/setup/{token}",
    "/reset-password/{token}",
    "/invitation/{token}",
    "/static/{name}",
}
XSS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</title><svg/onload=alert(1)>",
    "{{ 7 * 7 }}{% raw %}",
    "javascript:alert(1)",
)


class Elements(HTMLParser):
    """Collects what a browser would do something with."""

    def __init__(self):
        super().__init__()
        self.strange = []

    def handle_starttag(self, tag, attributes):
        for name, given in attributes:
            value = given or ""
            leads = name in {"src", "href", "action", "formaction"}
            is_ours = value[:1] in {"/", "#"} and value[:2] != "//"
            if name.startswith("on") or name == "style" or (leads and not is_ours):
                self.strange.append((tag, name, value))
        if tag in {"script", "img"} and not dict(attributes).get("src", "").startswith("/static/"):
            self.strange.append((tag, "src", dict(attributes).get("src")))


def strange_elements(text):
    elements = Elements()
    elements.feed(text)
    return elements.strange


def routes(app):
    return [(method, route.path) for route in app.routes for method in sorted(route.methods)]


def filled(path):
    return re.sub(r"\{[^}]+\}", "nothing-of-that-name", path)


async def test_every_answer_of_every_route_has_the_headers(app, stranger, browser):
    for method, path in routes(app):
        for who in (stranger, browser):
            answer = await who(method, filled(path))
            told = {name: answer.headers.get(name) for name in HEADERS}
            assert told == HEADERS, (method, path, answer.status)
            assert answer.headers.get("cache-control") == "no-store" or "/static/" in path
            assert answer.status < 500, (method, path)


async def test_a_stranger_is_led_to_the_sign_in_page_from_every_other_route(app, stranger):
    for method, path in routes(app):
        if path in OPEN:
            continue
        answer = await stranger(method, filled(path))
        assert answer.status == 303, (method, path)
        assert answer.location.startswith("/sign-in"), (method, path)


async def test_no_form_of_a_signed_in_person_does_anything_without_its_token(app, browser):
    changing = [path for method, path in routes(app) if method == "POST" and path not in OPEN]
    assert len(changing) >= 8
    for path in changing:
        for token in (None, "", "x", browser.csrf[:-1]):
            answer = await browser.post(filled(path), csrf=token)
            assert answer.status == 403, path
        for origin in ("https://evil.example", "null", "http://console.evil.example"):
            answer = await browser.post(filled(path), origin=origin)
            assert answer.status == 403, (path, origin)
        for site in ("cross-site", "same-site"):
            answer = await browser.post(filled(path), sec_fetch_site=site)
            assert answer.status == 403, (path, site)


async def test_no_page_has_a_script_or_a_style_of_its_own(app, browser, rooms, person):
    await rooms.keys.create(person.org_id, KeyRequest(name="a"), "test")
    for method, path in routes(app):
        if method != "GET" or "{" in path or path == "/nodes/events":
            continue
        text = (await browser.get(path)).text
        assert "<style" not in text, path
        assert not strange_elements(text), path


@pytest.mark.parametrize("text", XSS)
async def test_what_people_write_stays_text(text, browser, rooms, person):
    """Names through every field that takes them, and then every page that shows them."""
    made = await browser.post("/keys/new", {"name": text, "which": "some", "more_models": text})
    await browser.post("/account/organisation/name", {"name": text})
    wrong = await browser.post("/keys/new", {"name": text, "per_minute": text, "expires": text})
    assert (made.status, wrong.status) == (201, 400)
    odd = await browser.post("/join-tokens", {"uses": text, "expires": "hour"})
    [key] = await rooms.keys.list(person.org_id)
    browsers = await rooms.sign_ins.begin(person.person_id, person.org_id, browser=text, peer=text)
    assert browsers
    pages = [made, wrong, odd]
    targets = ("/", "/keys", f"/keys/{key.id}/revoke", "/account", "/usage?model=<svg onload=x>")
    pages += [await browser.get(target) for target in targets]
    pages.append(await browser.post("/sign-in", {"email": text, "next": text}, csrf=None))
    for page in pages:
        assert not strange_elements(page.text)
    shown = (await browser.get("/keys")).text
    assert html.escape(text, quote=False).split("\n")[0] in shown.replace("&#34;", '"').replace(
        "&#39;", "'"
    )


async def test_a_page_that_is_not_there_says_so_in_a_page(stranger, browser):
    for who in (stranger, browser):
        answer = await who.get("/nothing/<script>")
        assert answer.status == 404
        assert "There is no such page" in answer.text
        assert "<script>" not in answer.text


async def test_a_fault_of_ours_shows_the_request_s_name_and_nothing_else(app, browser):
    async def broken(_request):
        raise RuntimeError("the secret of the house")

    app.router.routes.append(Route("/broken", broken))
    answer = await browser.get("/broken")
    assert answer.status == 500
    assert "req_test" in answer.text
    assert "secret" not in answer.text
    assert answer.headers["content-security-policy"] == HEADERS["content-security-policy"]


async def test_a_database_that_refuses_is_said_to_be_away_for_a_moment(app, browser):
    async def broken(_request):
        raise OperationalError("SELECT secret", {}, Exception("disk I/O error"))

    app.router.routes.append(Route("/broken", broken))
    answer = await browser.get("/broken")
    assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    assert "secret" not in answer.text


async def test_a_wrong_method_is_told_in_a_page(browser):
    answer = await browser("DELETE", "/keys")
    assert answer.status == 405
    assert "cannot be done here" in answer.text


async def test_a_page_may_be_kept_when_it_says_so_itself(app, browser):
    async def kept(_request):
        return PlainTextResponse("x", headers={"cache-control": "max-age=60"})

    app.router.routes.append(Route("/kept", kept))
    assert (await browser.get("/kept")).headers["cache-control"] == "max-age=60"


async def test_a_part_of_a_page_leads_the_whole_page_to_the_sign_in(stranger):
    answer = await stranger.get("/keys", hx_request="true")
    assert (answer.status, answer.headers["hx-redirect"]) == (401, "/sign-in")
