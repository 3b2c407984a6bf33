"""A node whose rooms are stand-ins, its pages, and a browser that was let in."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import aiohttp
import pytest

from byoi_agent.availability.view import AvailabilityView
from byoi_agent.control.dashboard.app import Dashboard
from byoi_agent.control.dashboard.rendering import Frame
from byoi_agent.control.events import Events, Pace
from byoi_agent.control.schema import (
    AvailabilityStatus,
    DeviceStatus,
    EngineStatus,
    LinkStatus,
    StatusReport,
)
from byoi_agent.control.server import ControlServer
from byoi_agent.control.services import ControlServices

NOW = 1_795_000_000.0
HOSTILE = "</script><img src=x onerror=alert(1)>\"'&"
ENTRIES = (("Overview", "/"), ("Schedule", "/schedule"))


def a_report(**changes: Any) -> StatusReport:
    facts = {
        "node_id": "n1",
        "agent_version": "0.1.0",
        "pid": 1,
        "uptime_seconds": 2.0,
        "key_store": "file",
        "is_serving": True,
        "is_draining": False,
        "running": 1,
        "waiting": 0,
        "slots": 4,
        "queue": 1,
        "unacknowledged_records": 0,
        "link": LinkStatus(state="online", console_url="http://127.0.0.1:8700"),
        "engine": EngineStatus(state="ready", kind="llamacpp", models=("smol",)),
        "devices": (
            DeviceStatus(
                index=0,
                kind="cuda",
                name="RTX",
                memory_total_bytes=24 << 30,
                memory_used_bytes=6 << 30,
                utilisation_percent=50,
            ),
        ),
        "availability": AvailabilityStatus(
            mode="dedicated", state="serve", code="dedicated", reason="always serves"
        ),
    }
    return StatusReport(**{**facts, **changes})


@pytest.fixture
def report():
    return a_report


@pytest.fixture
def frame(report):
    """What stands around a page at `path`."""

    def make(path="/", **changes):
        return Frame(path, "the word", ENTRIES, report(**changes))

    return make


class Switch:
    """Stands in for whoever decides whether the node serves."""

    def __init__(self, changed):
        self.view = AvailabilityView()
        self.orders = []
        self._changed = changed

    def pause(self, seconds, *, finish, actor):
        self._take(
            ("pause", seconds, finish, actor), state="yield", is_paused=True, reason="paused"
        )

    def resume(self, actor):
        self._take(("resume", actor), state="serve", is_paused=False, reason="always serves")

    def choose_mode(self, mode, actor):
        self._take(("mode", mode, actor), mode=mode)

    def _take(self, order, **view):
        self.orders.append(order)
        self.view = replace(self.view, **view)
        self._changed()


class Node:
    """What the node's rooms answer; `facts` change it."""

    def __init__(self):
        self.subscribers = []
        self.facts = {}
        self.switch = Switch(self.changed)

    async def status(self):
        view = self.switch.view
        told = AvailabilityStatus(
            mode=view.mode,
            state=view.state,
            code=view.code,
            reason=view.reason,
            is_paused=view.is_paused,
        )
        return a_report(**{"availability": told, **self.facts})

    def subscribe(self, listener):
        self.subscribers.append(listener)
        return lambda: self.subscribers.remove(listener)

    def changed(self):
        for listener in self.subscribers:
            listener(None)


@dataclass
class Browser:
    """A session of a browser with a node's pages."""

    http: Any
    url: str
    cookie: str = ""

    @property
    def headers(self):
        return {"Cookie": self.cookie, "Accept": "text/html", "Sec-Fetch-Site": "same-origin"}

    async def get(self, path, **headers):
        place = self.url + path
        async with self.http.get(
            place, headers={**self.headers, **headers}, allow_redirects=False
        ) as response:
            return response.status, await response.text()

    async def word(self):
        _, text = await self.get("/")
        return re.search(r'name="csrf_token" value="([^"]+)"', text)[1]

    async def post(self, path, form, **headers):
        """A form of the page; its status, its text and where it leads to."""
        sent = {**self.headers, "Origin": self.url, **headers}
        form = form if "csrf_token" in form else {**form, "csrf_token": await self.word()}
        async with self.http.post(
            self.url + path, data=form, headers=sent, allow_redirects=False
        ) as response:
            return response.status, await response.text(), response.headers.get("Location")


@pytest.fixture
def node():
    return Node()


@pytest.fixture
def services(node):
    """What this node can be asked; a test may add to it before `server`."""
    events = Events(node.status, node.subscribe, Pace(status=0.01, look=0.05))
    return ControlServices(
        status=node.status, offer=None, usage=None, availability=node.switch, events=events
    )


@pytest.fixture
async def server(services):
    pages = Dashboard(services.events, wall=lambda: NOW)
    async with ControlServer(services, None, pages=pages) as server, asyncio.TaskGroup() as tasks:
        telling = tasks.create_task(server.run())
        yield server
        telling.cancel()
        with suppress(asyncio.CancelledError):
            await telling


@pytest.fixture
async def stranger(server):
    """A browser that nobody let in."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
        yield Browser(http, server.url)


@pytest.fixture
async def browser(server, stranger):
    """A browser that came in by a link."""
    async with stranger.http.post(
        f"{server.url}/api/dashboard/open", headers={"Authorization": f"Bearer {server.token}"}
    ) as response:
        link = (await response.json())["url"]
    async with stranger.http.get(link, allow_redirects=False) as response:
        cookie = response.headers["Set-Cookie"].partition(";")[0]
    return Browser(stranger.http, server.url, cookie)
