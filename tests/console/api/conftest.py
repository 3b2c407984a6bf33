from __future__ import annotations

import base64
import json
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest

from byoi_console.accounts.keys import ApiKeys, KeyRequest
from byoi_console.accounts.people import People
from byoi_console.accounts.sign_ins import SignIns
from byoi_console.api.app import build_api
from byoi_console.api.services import Services
from byoi_console.ledger.usage import UsageQueries
from byoi_console.nodes.administration import NodeAdministration
from byoi_console.nodes.pins import Pins
from byoi_console.routing.registry import Registry


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        """The code of OpenAI's error object."""
        error = self.json["error"]
        assert set(error) == {"message", "type", "param", "code"}
        return error["code"]


class Links:
    """Stands for the live sessions: remembers what was done to them."""

    def __init__(self, disconnected):
        self.disconnected = disconnected
        self.addresses = {}
        self.asked_for_new_keys = []
        self.sent = []

    def disconnect(self, node_id):
        self.disconnected.append(node_id)

    def ask_for_new_key(self, node_id):
        self.asked_for_new_keys.append(node_id)
        return node_id in self.addresses

    def send(self, node_id, message):
        self.sent.append(message)
        return node_id in self.addresses

    def address(self, node_id):
        return self.addresses.get(node_id)


class Api:
    """Calls the application as its server does, in this event loop."""

    def __init__(self, app):
        self.app = app
        self.authorization = None
        self.peer = "10.0.0.1"

    async def __call__(self, method, target, body=None, authorization=..., raw=None, headers=None):
        parts = urlsplit(target)
        authorization = self.authorization if authorization is ... else authorization
        sent = {"host": "console", **(headers or {})}
        headers = [(name.encode(), value.encode()) for name, value in sent.items()]
        if authorization is not None:
            headers.append((b"authorization", authorization.encode("latin-1")))
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
            "headers": headers,
            "client": (self.peer, 1),
            "server": ("console", 80),
        }
        data = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
        coming = [{"type": "http.request", "body": data, "more_body": False}]
        messages = []

        async def receive():
            return coming.pop(0) if coming else {"type": "http.disconnect"}

        async def send(message):
            messages.append(message)

        await self.app(scope, receive, send)
        told = {name.decode(): value.decode() for name, value in messages[0]["headers"]}
        return Answer(
            messages[0]["status"], told, b"".join(part.get("body", b"") for part in messages[1:])
        )


@pytest.fixture
def arrivals(devices, node_requests, disconnected):
    return SimpleNamespace(devices=devices, node_requests=node_requests, disconnected=disconnected)


@pytest.fixture
def rooms(database, audit, join_tokens, enrolment, arrivals, records, clock):
    state = SimpleNamespace(why_not_ready=None, caught_up=0)
    registry, sessions = Registry(), Links(arrivals.disconnected)
    pins = Pins(database, audit, registry, sessions.send)

    async def why_not_ready():
        return state.why_not_ready

    async def caught_up():
        state.caught_up += 1

    async def metrics(accept):
        return f"for {accept}\n".encode(), "text/plain; version=0.0.4"

    services = Services(
        url="http://console",
        sign_ins=SignIns(database, audit, now_ms=clock.now_ms),
        keys=ApiKeys(database, audit, now_ms=clock.now_ms, monotonic=clock.monotonic),
        people=People(database, audit, now_ms=clock.now_ms, monotonic=clock.monotonic),
        join_tokens=join_tokens,
        enrolment=enrolment,
        devices=arrivals.devices,
        node_requests=arrivals.node_requests,
        records=records,
        administration=NodeAdministration(records, sessions, registry, pins),
        registry=registry,
        usage=UsageQueries(database),
        caught_up=caught_up,
        why_not_ready=why_not_ready,
        metrics=metrics,
        metrics_are_public=False,
    )
    return SimpleNamespace(
        services=services,
        disconnected=arrivals.disconnected,
        state=state,
        links=sessions,
        pins=pins,
    )


@pytest.fixture
async def api(rooms, org_id):
    """The API; it is called with an admin key unless a test says otherwise."""
    api = Api(build_api(rooms.services))
    wanted = KeyRequest(name="admin", scope="admin")
    new = await rooms.services.keys.create(org_id, wanted, "person_1")
    api.authorization = f"Bearer {new.key}"
    return api


@pytest.fixture
def basic():
    def header(email, password):
        return "Basic " + base64.b64encode(f"{email}:{password}".encode()).decode()

    return header
