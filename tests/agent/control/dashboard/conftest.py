"""A node whose rooms are stand-ins, its pages, and a browser that was let in."""

from __future__ import annotations

import asyncio
import re
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from byoi_agent.availability.calendar import CalendarState
from byoi_agent.availability.consents import Pin
from byoi_agent.availability.schedule import ScheduleView
from byoi_agent.availability.view import AvailabilityView
from byoi_agent.config.availability import Schedule
from byoi_agent.control.dashboard.app import Dashboard
from byoi_agent.control.dashboard.rendering import Frame
from byoi_agent.control.events import Events, Pace
from byoi_agent.control.log_desk import LogDesk
from byoi_agent.control.model_words import ModelStatus, Removed, ServeReport
from byoi_agent.control.schema import (
    AvailabilityStatus,
    DeviceStatus,
    EngineStatus,
    LinkStatus,
    ReloadReport,
    StatusReport,
    UpdateStatus,
)
from byoi_agent.control.server import ControlServer
from byoi_agent.control.services import ControlServices
from byoi_agent.doctor.finding import Report, failed, ok
from byoi_agent.errors import ConfigError
from byoi_agent.models.pulls import PullView
from byoi_agent.update.asked import Ways

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


class Hours:
    """Stands in for whoever keeps the schedule."""

    def __init__(self):
        self.schedule = Schedule()
        self.failure = None
        self.file = Path("/etc/byoi/config.toml")

    @property
    def view(self):
        return ScheduleView(self.schedule, CalendarState(changes_at=NOW + 60))

    def put(self, schedule):
        if self.failure is not None:
            raise self.failure
        self.schedule = schedule


class Shelf:
    """Stands in for the models and their pulls."""

    def __init__(self):
        self.models = [
            ModelStatus(name="a/b", id="b", kind="gguf", size_bytes=1 << 30, source="hub"),
            ModelStatus(
                name="c/d",
                id="d",
                kind="gguf",
                source="hub",
                is_served=True,
                is_loaded=True,
                engine_state="ready",
            ),
        ]
        self.done = []
        self.ranks = []
        self.failure = None
        self.views = ()
        self.pulls = self

    async def all(self):
        return self.models, []

    def pull(self, order):
        self._note("pull", order.model)
        self.views = (PullView("p1", order.model, "pulling", NOW, "fetching", 1 << 20, 4 << 20),)
        return self.views[0]

    def cancel(self, pull_id):
        self._note("cancel", pull_id)
        self.views = (replace(self.views[0], state="cancelled"),)
        return self.views[0]

    async def run(self):
        """Pulls under way."""

    async def load(self, name):
        self._note("load", name)

    async def unload(self, name, within_seconds):
        self._note("unload", name)

    async def serve(self, name, order):
        self._note("serve", name)
        self.ranks.append(order.priority)
        return ServeReport(model=name, is_served=True, reloaded=ReloadReport())

    def unserve(self, name):
        self._note("unserve", name)
        return ServeReport(model=name, is_served=False, reloaded=ReloadReport())

    async def remove(self, name):
        self._note("remove", name)
        return Removed(removed=(name,))

    def _note(self, *what):
        if self.failure is not None:
            raise self.failure
        self.done.append(what)


class Wishes:
    """Stands in for whoever keeps the owner's consents."""

    def __init__(self):
        self.pins = (Pin("pin_1", "org_1", "Ärzte <b>e. V.</b>", "we pay", "ada", 1, "asked"),)
        self.said = []

    def consent(self, pin_id, actor):
        self._say(pin_id, "granted", actor)

    def refuse(self, pin_id, actor):
        self._say(pin_id, "refused", actor)

    def _say(self, pin_id, state, actor):
        if pin_id != "pin_1":
            raise ConfigError("there is no such pin")
        self.said.append((state, actor))
        self.pins = (replace(self.pins[0], state=state, actor=actor, at_ms=2),)


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
def hours():
    return Hours()


@pytest.fixture
def shelf():
    return Shelf()


@pytest.fixture
def wishes():
    return Wishes()


class Newer:
    """Stands in for whoever replaces the program."""

    def __init__(self, node):
        self.now = Ways(can_look=True, can_install=True)
        self.failure = None
        self._node = node

    def ways(self):
        return self.now

    async def look(self):
        self._take(available="0.2.0")

    async def install(self):
        self._take(underway="0.2.0")

    def _take(self, **known):
        if self.failure is not None:
            raise self.failure
        self._node.facts = {"update": UpdateStatus(checked_at=NOW, **known)}
        self._node.changed()


@pytest.fixture
def newer(node):
    return Newer(node)


@pytest.fixture
def log_desk(services):
    return LogDesk(services.events)


@pytest.fixture
def everything(services, hours, shelf, wishes, newer, log_desk):
    """The same node, which can be asked all there are pages for."""

    async def examine():
        mend = "byoi models rm NAME"
        return Report(checks=(failed("disk", "Disk", f"full {HOSTILE}", mend, can_fix=True),))

    async def mend():
        return Report(checks=(ok("disk", "Disk", "half").model_copy(update={"is_fixed": True}),))

    return replace(
        services,
        schedule=hours,
        models=shelf,
        pins=wishes,
        logs=log_desk,
        doctor=examine,
        mend=mend,
        update=newer,
    )


@asynccontextmanager
async def serving(services):
    pages = Dashboard(services.events, wall=lambda: NOW)
    async with ControlServer(services, None, pages=pages) as server, asyncio.TaskGroup() as tasks:
        telling = tasks.create_task(server.run())
        yield server
        telling.cancel()


@pytest.fixture
def starting():
    """A server of pages, for as long as it is held."""
    return serving


@pytest.fixture
async def server(services):
    async with serving(services) as server:
        yield server


@pytest.fixture
async def whole(everything, letting_in):
    """A browser at the node that can be asked all there are pages for."""
    async with serving(everything) as server, letting_in(server) as browser:
        yield browser


@pytest.fixture
async def stranger(server):
    """A browser that nobody let in."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
        yield Browser(http, server.url)


@pytest.fixture
def letting_in():
    """A browser that comes in by a link."""

    @asynccontextmanager
    async def let_in(server):
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
            headers = {"Authorization": f"Bearer {server.token}"}
            place = f"{server.url}/api/dashboard/open"
            async with http.post(place, headers=headers) as response:
                link = (await response.json())["url"]
            async with http.get(link, allow_redirects=False) as response:
                cookie = response.headers["Set-Cookie"].partition(";")[0]
            yield Browser(http, server.url, cookie)

    return let_in


@pytest.fixture
async def browser(server, letting_in):
    async with letting_in(server) as browser:
        yield browser
