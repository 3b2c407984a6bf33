"""A front on a loopback socket, with nodes played by the test."""

from __future__ import annotations

import asyncio
import json
import socket
from collections import deque
from contextlib import asynccontextmanager

import pytest

from byoi_console.accounts.principal import Principal
from byoi_console.catalogue.models import Catalogue
from byoi_console.errors import Unauthenticated
from byoi_console.gateway.connection import Times
from byoi_console.gateway.forwarded import Proxies
from byoi_console.gateway.front import Front
from byoi_console.gateway.relay import Patience
from byoi_console.gateway.routes import Gateway
from byoi_console.ledger.tickets import Tickets
from byoi_console.policy.enforcement import Enforcement
from byoi_console.routing.registry import Registry
from byoi_wire.ids import ModelId, NodeId, OrgId, StreamId
from byoi_wire.messages import Advertise, AnswerHead
from byoi_wire.offers import Host, ModelOffer
from byoi_wire.requests import ROUTES

ORG = OrgId("org_1")
MODEL = "tiny"


def event(**delta):
    choice = {"index": 0, "delta": delta, "finish_reason": None}
    return b"data: %b\n\n" % json.dumps({"id": "c", "choices": [choice]}).encode()


class Stream:
    """One stream as its node plays it."""

    def __init__(self, session, number, head, handler):
        self.session, self.id, self.head, self.handler = session, number, head, handler
        self.body = b""
        self.has_ended = False
        self.resets = []
        self.consumed = 0

    ROLE = event(role="assistant", content="")
    STOP = (
        b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
        b'data: {"id":"c","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3}}\n\n'
        b"data: [DONE]\n\n"
    )

    @property
    def request(self):
        return json.loads(self.body)

    def answer_head(self, status=200, kind="text/event-stream"):
        self.handler.head_received(AnswerHead(status=status, headers={"content-type": kind}))

    def data(self, data):
        self.handler.data_received(data)

    def end(self):
        self.session.live.pop(self.id, None)
        self.handler.end_received(b"{}")

    def reset(self, code, reason=""):
        self.session.live.pop(self.id, None)
        self.handler.reset_received(code, reason)

    def say(self, *words):
        for word in words:
            self.data(event(content=word))

    def stream_all(self, *words):
        self.answer_head()
        self.data(self.ROLE)
        self.say(*words)
        self.data(self.STOP)
        self.end()

    def answer_json(self, told, status=200):
        self.answer_head(status, "application/json")
        self.data(json.dumps(told).encode())
        self.end()


class FakeSession:
    def __init__(self):
        self.connected = True
        self.live = {}
        self.opened = []
        self.arrivals = deque()
        self.arrived = asyncio.Event()
        self.room = 10**9
        self.auto = None

    @property
    def streams(self):
        return len(self.live)

    def open(self, head, handler):
        stream = Stream(self, StreamId(len(self.opened) + 1), head, handler)
        self.opened.append(stream)
        self.live[stream.id] = stream
        return stream.id

    def send(self, stream, data):
        self.opened[stream - 1].body += data
        return len(self.opened[stream - 1].body) < self.room

    def end(self, stream, trailer=None):
        entry = self.opened[stream - 1]
        entry.has_ended = True
        if self.auto is not None:
            asyncio.get_running_loop().call_soon(self.auto, entry)
        self.arrivals.append(entry)
        self.arrived.set()

    def reset(self, stream, code, reason=""):
        self.opened[stream - 1].resets.append((code, reason))
        self.live.pop(stream, None)
        self.arrived.set()

    def consumed(self, stream, count):
        self.opened[stream - 1].consumed += count

    async def next_stream(self):
        async with asyncio.timeout(60):
            while not self.arrivals:
                self.arrived.clear()
                await self.arrived.wait()
        return self.arrivals.popleft()

    async def reset_of(self, stream):
        async with asyncio.timeout(60):
            while not stream.resets:
                self.arrived.clear()
                await self.arrived.wait()
        return stream.resets[0][0]


class FakeNode:
    def __init__(self, name):
        self.node_id = NodeId(name)
        self.org_id = ORG
        self.session = FakeSession()


class FakeKeys:
    def __init__(self):
        self.principals = {
            "good": Principal("key_1", ORG, "inference"),
            "other": Principal("key_2", ORG, "inference"),
            "narrow": Principal("key_3", ORG, "inference", models=frozenset({"else"})),
            "slow": Principal("key_4", ORG, "inference", requests_per_minute=1),
        }

    def cached(self, authorization):
        return None

    async def authenticate(self, authorization, *, peer=""):
        scheme, _, key = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or key not in self.principals:
            raise Unauthenticated("The API key is not valid.")
        return self.principals[key]


class FakeBooks:
    def __init__(self):
        self.is_healthy = True
        self.postings = []
        self.posted = asyncio.Event()

    async def post(self, posting):
        self.postings.append(posting)
        self.posted.set()

    async def wait_for(self, count):
        async with asyncio.timeout(60):
            while len(self.postings) < count:
                self.posted.clear()
                await self.posted.wait()
        return self.postings


class Client:
    """A raw socket with just enough HTTP to read answers."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    def send(self, data):
        self.writer.write(data)

    async def head(self):
        async with asyncio.timeout(60):
            block = await self.reader.readuntil(b"\r\n\r\n")
        first, *lines = block.decode("latin-1").split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines if line)
        return int(first.split()[1]), headers

    async def chunk(self):
        async with asyncio.timeout(60):
            size = int(await self.reader.readuntil(b"\r\n"), 16)
            data = await self.reader.readexactly(size + 2)
        return data[:-2]

    async def rest(self):
        pieces = []
        while piece := await self.chunk():
            pieces.append(piece)
        return b"".join(pieces)

    async def answer(self, method="POST"):
        status, headers = await self.head()
        while status == 100:
            status, headers = await self.head()
        body = b""
        if headers.get("transfer-encoding") == "chunked":
            body = await self.rest()
        elif "content-length" in headers and method != "HEAD":
            async with asyncio.timeout(60):
                body = await self.reader.readexactly(int(headers["content-length"]))
        return status, headers, body

    async def ended(self):
        async with asyncio.timeout(60):
            return await self.reader.read()

    def close(self):
        self.writer.close()

    def abort(self):
        self.writer.transport.abort()


def chat(stream=True, key="good", headers=b"", **fields):
    body = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}], "stream": stream}
    return post(b"/v1/chat/completions", {**body, **fields}, key, headers)


def post(path, body, key="good", headers=b""):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return (
        b"POST %b HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %b\r\n"
        b"Content-Type: application/json\r\n%bContent-Length: %d\r\n\r\n%b"
        % (path, key.encode(), headers, len(data), data)
    )


def get(path, key="good", method=b"GET"):
    return b"%b %b HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %b\r\n\r\n" % (
        method,
        path,
        key.encode(),
    )


class World:
    """Everything a test needs, and what it may say."""

    chat = staticmethod(chat)
    post = staticmethod(post)
    get = staticmethod(get)
    event = staticmethod(event)

    def __init__(self, patience, times, budget=None, proxies=()):
        self.now = 0.0
        self.registry = Registry(lambda: self.now)
        self.keys = FakeKeys()
        self.books = FakeBooks()
        self.answered = []
        self.gateway = Gateway(
            keys=self.keys,
            policy=Enforcement(),
            nodes=self.registry,
            catalogue=Catalogue(self.registry),
            tickets=Tickets(b"s" * 32),
            books=self.books,
            answered=self.answered.append,
            patience=patience,
        )
        self.agents = []
        self.app_calls = []
        self.front = Front(
            gateway=self.gateway,
            app=self.app,
            agents_door=self.agents_door,
            proxies=Proxies(proxies),
            times=times,
            budget=budget,
        )
        self.clients = []

    async def app(self, scope, receive, send):
        self.app_calls.append(scope)
        message = await receive()
        body = scope["path"].encode() + b" " + message["body"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    def agents_door(self, transport, head, peer):
        self.agents.append((head, peer))
        transport.write(b"door")
        transport.close()

    def node(self, name="node_1", slots=4, models=(MODEL,), **of):
        node = FakeNode(name)
        of = {"engine": "e", "routes": tuple(ROUTES), **of}
        offers = tuple(ModelOffer(id=ModelId(m), **of) for m in models)
        host = Host(os="linux", architecture="x")
        advertise = Advertise(version=1, agent_version="1", host=host, models=offers, slots=slots)
        self.registry.add(node, advertise)
        return node

    async def client(self):
        return self.adopt(*await asyncio.open_connection(*self.address, limit=2**24))

    def adopt(self, reader, writer):
        client = Client(reader, writer)
        self.clients.append(client)
        return client

    async def ask(self, data, method="POST"):
        client = await self.client()
        client.send(data)
        return await client.answer(method)


@pytest.fixture
async def make_world():
    """A factory of running worlds, with other bounds than usual where a test wants them."""

    @asynccontextmanager
    async def make(patience=None, times=None, budget=None, proxies=()):
        patience = patience or Patience(candidate=0.05)
        world = World(patience, times or Times(), budget, proxies)
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        world.address = listener.getsockname()
        started = asyncio.Event()
        task = asyncio.create_task(world.front.run(listener, started=started.set))
        await started.wait()
        try:
            yield world
        finally:
            for client in world.clients:
                client.abort()
            task.cancel()
            await asyncio.wait({task})
            if not task.cancelled() and task.exception():
                raise task.exception()
            listener.close()

    return make


@pytest.fixture
async def world(make_world):
    async with make_world() as made:
        yield made
