from __future__ import annotations

import re
from http.cookies import SimpleCookie
from types import SimpleNamespace
from urllib.parse import urlencode, urlsplit

import pytest
from argon2 import PasswordHasher
from sqlalchemy import insert

from byoi_console.accounts.colleagues import Colleagues
from byoi_console.accounts.keys import ApiKeys
from byoi_console.accounts.one_time_links import OneTimeLinks
from byoi_console.accounts.organisations import Organisations
from byoi_console.accounts.passwords import Passwords
from byoi_console.accounts.people import People
from byoi_console.accounts.sign_ins import COOKIE, SignIns
from byoi_console.ledger.usage import UsageQueries
from byoi_console.nodes.administration import NodeAdministration
from byoi_console.nodes.pins import Pins
from byoi_console.nodes.session import Sessions
from byoi_console.pages.app import build_pages
from byoi_console.pages.pictures import NodePictures
from byoi_console.pages.services import PageServices
from byoi_console.pages.viewers import Viewers
from byoi_console.routing.registry import Registry
from byoi_console.store.tables import organisations
from byoi_wire.version import GRACE_SECONDS

ORIGIN = "http://console"
EMAIL = "ada@example.org"
PASSWORD = "a few words are fine"


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def text(self):
        return self.body.decode()

    @property
    def location(self):
        return self.headers["location"]


class Browser:
    """Calls the pages as their server does, and keeps the cookie as a browser does."""

    def __init__(self, app, origin=ORIGIN):
        self.app = app
        self.origin = origin
        self.cookie = None
        self.csrf = None
        self.peer = "10.0.0.1"
        self.set_cookies = []

    async def get(self, target, **headers):
        return await self("GET", target, **headers)

    async def post(self, target, fields=None, *, csrf=..., **headers):
        """Send a form as a page of ours would, with the token of the sign-in."""
        fields = dict(fields or {})
        token = self.csrf if csrf is ... else csrf
        if token is not None:
            fields.setdefault("csrf_token", token)
        return await self("POST", target, urlencode(fields, doseq=True).encode(), **headers)

    async def __call__(self, method, target, body=b"", **headers):
        parts = urlsplit(target)
        sent = {"host": urlsplit(self.origin).netloc, "user-agent": "Test/1"}
        if self.cookie:
            sent["cookie"] = f"{COOKIE}={self.cookie}"
        if method == "POST":
            sent["content-type"] = "application/x-www-form-urlencoded"
            sent["origin"] = self.origin
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": parts.path,
            "raw_path": parts.path.encode(),
            "query_string": parts.query.encode(),
            "root_path": "",
            "headers": [(n.encode(), v.encode("latin-1")) for n, v in sent.items() if v],
            "client": (self.peer, 1),
            "server": ("console", 80),
            "state": {"request_id": "req_test"},
        }
        coming = [{"type": "http.request", "body": body, "more_body": False}]
        messages = []

        async def receive():
            return coming.pop(0) if coming else {"type": "http.disconnect"}

        async def send(message):
            messages.append(message)

        try:
            await self.app(scope, receive, send)
        except Exception:
            if not messages:
                raise
        told = {name.decode(): value.decode() for name, value in messages[0]["headers"]}
        answer = b"".join(part.get("body", b"") for part in messages[1:])
        self._take_cookie(told)
        return Answer(messages[0]["status"], told, answer)

    def _take_cookie(self, headers):
        if (header := headers.get("set-cookie")) is None:
            return
        self.set_cookies.append(header)
        morsel = SimpleCookie(header)[COOKIE]
        self.cookie = None if morsel["max-age"] == "0" else morsel.value

    async def learn_csrf(self):
        """Read the token out of a page, as its forms have it."""
        found = re.search(r'name="csrf_token" value="([^"]+)"', (await self.get("/account")).text)
        self.csrf = found[1]


@pytest.fixture
def rooms(database, audit, join_tokens, devices, records, clock, disconnected):
    registry = Registry(clock.monotonic)
    people = People(
        database,
        audit,
        # A real one takes its time on purpose.
        passwords=Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)),
        now_ms=clock.now_ms,
        monotonic=clock.monotonic,
    )
    sign_ins = SignIns(database, audit, now_ms=clock.now_ms)
    sessions = Sessions(registry, GRACE_SECONDS)
    pins = Pins(database, audit, registry, sessions.send, now_ms=clock.now_ms)
    pictures = NodePictures(records, registry, lambda _: 0.0, clock.now_ms, pins.of)

    async def caught_up():
        pass

    links = OneTimeLinks(database, audit, people, now_ms=clock.now_ms)
    return PageServices(
        url=ORIGIN,
        people=people,
        sign_ins=sign_ins,
        links=links,
        colleagues=Colleagues(database, audit, links, now_ms=clock.now_ms),
        organisations=Organisations(database, audit),
        keys=ApiKeys(database, audit, now_ms=clock.now_ms, monotonic=clock.monotonic),
        join_tokens=join_tokens,
        devices=devices,
        records=records,
        administration=NodeAdministration(records, sessions, registry, pins),
        registry=registry,
        pictures=pictures,
        viewers=Viewers(pictures.look, sign_ins.living),
        usage=UsageQueries(database),
        caught_up=caught_up,
        disconnect=disconnected.append,
        now_ms=clock.now_ms,
    )


@pytest.fixture
def app(rooms):
    return build_pages(rooms)


@pytest.fixture
def stranger(app):
    return Browser(app)


@pytest.fixture
async def person(rooms, database):
    """Somebody with an account whose password nobody had to wait for."""
    async with database.write() as connection:
        hashed = "$argon2id$none"
        return await rooms.people.add(connection, EMAIL, hashed, "Institute", actor="test")


@pytest.fixture
async def other_org(database):
    """An organisation that this person has nothing to do with."""
    row = {"id": "org_other", "name": "The other", "created_at_ms": 9_000_000_000_000}
    async with database.write() as connection:
        await connection.execute(insert(organisations).values(row))
    return row["id"]


@pytest.fixture
async def browser(app, rooms, person):
    """A browser that this person has signed in with."""
    browser = Browser(app)
    new = await rooms.sign_ins.begin(person.person_id, person.org_id)
    browser.cookie = new.token
    browser.csrf = (await rooms.sign_ins.look(new.token)).csrf_token
    return browser


@pytest.fixture
def constants():
    return SimpleNamespace(email=EMAIL, password=PASSWORD, origin=ORIGIN)
