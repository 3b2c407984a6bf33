from __future__ import annotations

import asyncio
import random
import socket
import time
from contextlib import suppress
from http.cookies import SimpleCookie
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import web

from byoi_agent.control.actor import actor_of
from byoi_agent.control.client import ControlClient
from byoi_agent.control.door import csrf_of
from byoi_agent.control.events import Events, Pace
from byoi_agent.control.guesses import MOST_WRONG
from byoi_agent.control.kept_sessions import SessionKeeper
from byoi_agent.control.server import ControlServer
from byoi_agent.control.services import ControlServices


class Pages:
    """Stands in for the dashboard: a page that tells its word, and a form."""

    def __init__(self):
        self.changed_by = []

    def add(self, app, routes):
        async def page(request):
            return web.Response(text=f"{actor_of(request)} {csrf_of(request)}")

        async def change(request):
            self.changed_by.append((actor_of(request), dict(await request.post())))
            return web.Response()

        async def sheet(_request):
            return web.Response(text="css", headers={"Cache-Control": "public"})

        app.router.add_get("/", page)
        app.router.add_post("/change", change)
        app.router.add_get("/static/base.css", sheet)

    def refuse(self, status, message):
        return web.Response(status=status, text=f"<p>{message}</p>", content_type="text/html")


@pytest.fixture
def pages():
    return Pages()


@pytest.fixture
async def server(node, tmp_path, pages):
    services = ControlServices(status=node.status, offer=node.offer, usage=node.usage, engine=node)
    async with ControlServer(services, tmp_path / "c.sock", pages=pages) as running:
        yield running


@pytest.fixture
async def session():
    jar = aiohttp.DummyCookieJar()
    async with aiohttp.ClientSession(cookie_jar=jar) as running:
        yield running


@pytest.fixture
def browser(session, server):
    return Browser(session, server)


class Browser:
    """Sends what a browser sends by itself, unless told otherwise."""

    def __init__(self, session, server):
        self.session = session
        self.server = server
        self.cookie = ""
        self.csrf = ""

    async def open(self, url):
        async with self.session.get(url, allow_redirects=False) as response:
            for morsel in SimpleCookie(response.headers.get("Set-Cookie", "")).values():
                self.cookie = f"{morsel.key}={morsel.value}"
            return response

    async def enter(self):
        link = await open_link(self.session, self.server)
        await self.open(link)
        _, _, text = await self.get("/")
        self.csrf = text.rpartition(" ")[2]

    async def get(self, path, **headers):
        headers = {"Sec-Fetch-Site": "same-origin", "Cookie": self.cookie, **headers}
        async with self.session.get(self.server.url + path, headers=headers) as response:
            return response.status, response.headers, await response.text()

    async def post(self, path, data=None, **headers):
        headers = {
            "Origin": self.server.url,
            "Sec-Fetch-Site": "same-origin",
            "Cookie": self.cookie,
            **headers,
        }
        sent = {name: value for name, value in headers.items() if value}
        async with self.session.post(
            self.server.url + path, data=data, headers=sent, allow_redirects=False
        ) as response:
            return response.status


async def open_link(session, server, **headers):
    headers = {"Authorization": f"Bearer {server.token}", **headers}
    url = f"{server.url}/api/dashboard/open"
    async with session.post(url, headers=headers) as response:
        assert response.status == 200
        return (await response.json())["url"]


async def test_a_link_opens_the_pages_in_one_browser_once(browser, session, server):
    link = await open_link(session, server)
    assert server.token not in link
    first, second = await browser.open(link), await browser.open(link)
    assert (first.status, first.headers["Location"], second.status) == (303, "/", 401)
    cookie = first.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    status, _, text = await browser.get("/")
    assert (status, text.split()[0]) == (200, "dashboard")


async def test_without_a_session_a_person_is_told_what_to_type(browser):
    status, _, text = await browser.get("/", Accept="text/html,*/*")
    assert status == 401
    assert "byoi dashboard" in text
    assert text.startswith("<p>")


async def test_the_link_can_be_had_by_the_socket(server, ask, browser):
    client = ControlClient(socket_path=str(server.socket_path))
    link = await ask(client.open_dashboard)
    assert urlsplit(link.url).port == server.port
    assert (await browser.open(link.url)).status == 303


async def test_our_own_page_reads_and_changes(browser, pages, node):
    await browser.enter()
    assert (await browser.get("/api/status"))[0] == 200
    assert await browser.post("/api/engine/wake", **{"X-CSRF-Token": browser.csrf}) == 202
    assert node.orders == [("wake",)]
    assert await browser.post("/change", {"csrf_token": browser.csrf, "a": "b"}) == 200
    assert pages.changed_by == [("dashboard", {"csrf_token": browser.csrf, "a": "b"})]


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://127.0.0.1:1"},
        {"Host": "evil.example"},
        {"X-CSRF-Token": "wrong"},
        {"X-CSRF-Token": ""},
    ],
)
async def test_a_foreign_page_changes_nothing_with_the_owners_cookie(browser, node, headers):
    await browser.enter()
    sent = {"X-CSRF-Token": browser.csrf, **headers}
    assert await browser.post("/api/engine/wake", **sent) == 403
    assert not node.orders


async def test_an_origin_that_is_not_the_pages_own_name_changes_nothing(browser, server, node):
    await browser.enter()
    origin = f"http://localhost:{server.port}"
    sent = {"X-CSRF-Token": browser.csrf, "Origin": origin}
    assert await browser.post("/api/engine/wake", **sent) == 403
    assert not node.orders


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_a_page_on_another_port_of_this_machine_reads_nothing(browser, site):
    await browser.enter()
    assert (await browser.get("/api/status", **{"Sec-Fetch-Site": site}))[0] == 403


async def test_the_word_of_another_session_is_none(browser, session, server, node):
    await browser.enter()
    other = Browser(session, server)
    await other.enter()
    assert await browser.post("/api/engine/wake", **{"X-CSRF-Token": other.csrf}) == 403
    assert not node.orders


async def test_who_signs_out_is_out(browser):
    await browser.enter()
    assert await browser.post("/sign-out", {"csrf_token": "wrong"}) == 403
    assert await browser.post("/sign-out", {"csrf_token": browser.csrf}) == 303
    assert (await browser.get("/api/status"))[0] == 401


@pytest.fixture
def keeper(tmp_path):
    return SessionKeeper(tmp_path / "browsers.json", time.time)


def server_with(node, keeper, pages, port=0):
    services = ControlServices(status=node.status, offer=node.offer, usage=node.usage, engine=node)
    return ControlServer(services, None, port, pages=pages, keeper=keeper)


@pytest.fixture
def port():
    """A free one that the system gives nobody who asks for any: nobody takes it meanwhile."""
    for number in random.sample(range(20_000, 30_000), 100):
        with suppress(OSError), socket.create_server(("127.0.0.1", number)):
            return number
    pytest.fail("no port is free")


async def test_an_open_page_goes_on_when_the_node_is_started_anew(
    node, keeper, pages, session, port
):
    async with server_with(node, keeper, pages, port) as before:
        browser = Browser(session, before)
        await browser.enter()
    async with server_with(node, keeper, pages) as after:
        assert after.port == before.port
        assert after.token != before.token
        browser.server = after
        assert (await browser.get("/api/status"))[0] == 200
        assert await browser.post("/api/engine/wake", **{"X-CSRF-Token": browser.csrf}) == 202
        assert await browser.post("/api/engine/wake", **{"X-CSRF-Token": "wrong"}) == 403


async def test_a_node_that_failed_leaves_nobodys_session_to_the_next(
    node, keeper, pages, session, port
):
    async def fail():
        async with server_with(node, keeper, pages, port) as server:
            await Browser(session, server).enter()
            raise RuntimeError("a room failed")

    with pytest.raises(RuntimeError, match="a room failed"):
        await fail()
    assert keeper.take() is None


async def test_where_somebody_else_took_the_port_browsers_need_another_link(
    node, keeper, pages, session, port
):
    async with server_with(node, keeper, pages, port) as before:
        browser = Browser(session, before)
        await browser.enter()
    with socket.create_server(("127.0.0.1", before.port)):
        async with server_with(node, keeper, pages) as after:
            assert after.port != before.port
            browser.server = after
            browser.cookie = browser.cookie.replace(str(before.port), str(after.port))
            assert (await browser.get("/api/status"))[0] == 401


async def test_a_port_of_the_owners_choice_is_kept_to(node, keeper, pages, session, port):
    async with server_with(node, keeper, pages) as before:
        browser = Browser(session, before)
        await browser.enter()
    async with server_with(node, keeper, pages, port) as after:
        assert after.port == port
        browser.server = after
        browser.cookie = browser.cookie.replace(str(before.port), str(port))
        assert (await browser.get("/api/status"))[0] == 401


async def test_all_browsers_are_signed_out_at_once(browser, session, server):
    await browser.enter()
    other = Browser(session, server)
    await other.enter()
    assert await browser.post("/api/dashboard/sign-out", **{"X-CSRF-Token": browser.csrf}) == 200
    assert [(await each.get("/api/status"))[0] for each in (browser, other)] == [401, 401]


async def test_what_streams_to_a_browser_ends_when_it_is_signed_out(node, session, pages):
    events = Events(node.status, lambda _: lambda: None, Pace(status=0.01, look=0.01))
    services = ControlServices(status=node.status, offer=None, usage=None, events=events)
    async with ControlServer(services, None, pages=pages) as server, asyncio.TaskGroup() as tasks:
        telling = tasks.create_task(server.run())
        browser = Browser(session, server)
        await browser.enter()
        sent = {"Sec-Fetch-Site": "same-origin", "Cookie": browser.cookie}
        async with session.get(f"{server.url}/api/events", headers=sent) as stream:
            assert b"status" in await stream.content.readany()
            sign_out = {"X-CSRF-Token": browser.csrf}
            assert await browser.post("/api/dashboard/sign-out", **sign_out) == 200
            async with asyncio.timeout(30):
                await stream.content.read()  # to its end
        telling.cancel()


async def test_a_session_makes_no_other(browser):
    await browser.enter()
    assert await browser.post("/api/dashboard/open", **{"X-CSRF-Token": browser.csrf}) == 403


async def test_wrong_secrets_are_bounded_and_the_right_one_passes(browser, session, server, caplog):
    async def knock(secret):
        headers = {"Authorization": f"Bearer {secret}"}
        async with session.get(f"{server.url}/api/status", headers=headers) as response:
            return response.status, response.headers.get("Retry-After")

    answers = [await knock("wrong") for _ in range(MOST_WRONG + 2)]
    assert answers[0] == (401, None)
    assert answers[-1] == (429, "60")
    assert (await browser.open(f"{server.url}/open?code=wrong")).status == 429
    assert (await knock(server.token))[0] == 200
    told = [line for line in caplog.records if "guesses" in line.message]
    assert len(told) == 1


async def test_every_answer_is_hardened(browser):
    await browser.enter()
    for path in ("/", "/api/status", "/none", "/open?code=x"):
        _, headers, _ = await browser.get(path)
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["Cache-Control"] == "no-store"
        assert "aiohttp" not in headers["Server"]


async def test_what_tells_nothing_of_the_node_needs_no_session(browser):
    status, headers, _ = await browser.get("/static/base.css")
    assert (status, headers["Cache-Control"]) == (200, "public")
    assert (await browser.get("/static/base.css", Host="evil.example"))[0] == 403


async def test_without_pages_there_is_no_way_in_for_a_browser(node, tmp_path, session):
    services = ControlServices(status=node.status, offer=node.offer, usage=node.usage)
    async with ControlServer(services, None) as server:
        headers = {"Authorization": f"Bearer {server.token}"}
        for path in ("/open?code=x", "/api/dashboard/open"):
            async with session.get(server.url + path, headers=headers) as response:
                assert response.status == 404
