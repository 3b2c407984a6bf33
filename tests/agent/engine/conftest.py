"""A server whose every byte a test chooses, and a handler that writes down what it hears."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
import uvloop

from byoi_agent.engine.address import EngineAddress
from byoi_agent.engine.client import EngineClient
from byoi_agent.engine.life import Limits
from byoi_agent.engine.process import Ended, LaunchSpec
from byoi_agent.engine.supervisor import EngineSupervisor
from byoi_agent.engine.view import EngineLoad, ServedModel
from byoi_agent.errors import EngineError
from byoi_wire.ids import ModelId

if TYPE_CHECKING:
    from pathlib import Path


BOTH_LOOPS = ("test_client.py", "test_exchange.py", "test_address.py", "test_process.py")


def pytest_asyncio_loop_factories(item):
    """What touches transports is tested on both loops that the agent may run on."""
    if item.path.name in BOTH_LOOPS:
        return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    return {"uvloop": uvloop.new_event_loop}


@dataclass
class Request:
    """One request as it came; `nth` counts within its connection from 0."""

    line: str
    headers: dict[str, str]
    body: bytes
    connection: int
    nth: int


@dataclass
class ScriptedServer:
    """`script(request, writer)` answers; returning False closes the connection."""

    url: str = ""
    connections: int = 0
    open: int = 0
    requests: list[Request] = field(default_factory=list)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    tasks: set[asyncio.Task] = field(default_factory=set)

    async def serve(self, reader, writer, script):
        number, nth = self.connections, 0
        self.connections += 1
        self.open += 1
        try:
            while (request := await self._read(reader, number, nth)) is not None:
                self.requests.append(request)
                nth += 1
                if await script(request, writer) is False:
                    break
        except ConnectionError:
            pass
        finally:
            self.open -= 1
            self.gone.set()
            writer.close()

    async def _read(self, reader, number, nth):
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except asyncio.IncompleteReadError:
            return None
        line, *rest = head.strip().split("\r\n")
        headers = dict(re.split(r":\s*", each, maxsplit=1) for each in rest)
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        return Request(line, headers, body, number, nth)


def answer_bytes(body=b"{}", status=200, **headers):
    lines = [f"HTTP/1.1 {status} X", f"content-length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


@pytest.fixture
def answer():
    """Bytes of a whole answer."""
    return answer_bytes


@pytest.fixture
def socket_folder(tmp_path_factory):
    """Short, as a socket's path must be."""
    return tmp_path_factory.mktemp("s")


@pytest.fixture
async def serve(socket_folder: Path):
    """Start a scripted server on a unix socket, or with `tcp=True` on a port."""
    servers = []

    async def start(script, *, tcp=False, ssl=None, name="e.sock"):
        scripted = ScriptedServer()

        async def connected(reader, writer):
            # Once its client has left, nobody else holds a script that hangs.
            scripted.tasks.add(asyncio.current_task())
            await scripted.serve(reader, writer, script)

        if tcp:
            server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=ssl)
            scheme = "https" if ssl else "http"
            scripted.url = f"{scheme}://localhost:{server.sockets[0].getsockname()[1]}"
        else:
            path = socket_folder / name
            server = await asyncio.start_unix_server(connected, str(path))
            scripted.url = f"unix://{path}"
        servers.append(server)
        return scripted

    yield start
    for server in servers:
        server.close()


class Hearing:
    """An exchange's handler that keeps all it hears; `over` ends with `ended` or the error."""

    def __init__(self):
        self.status = None
        self.headers = {}
        self.body = bytearray()
        self.over = asyncio.get_running_loop().create_future()
        self.some = asyncio.Event()
        self.on_body = lambda: None

    def head_received(self, status, headers):
        assert self.status is None
        self.status, self.headers = status, dict(headers)

    def body_received(self, data):
        assert not self.over.done()
        self.body += data
        self.some.set()
        self.on_body()

    def body_ended(self):
        self.over.set_result("ended")

    def failed(self, error):
        self.over.set_result(error)


@pytest.fixture
def hearing():
    return Hearing


@pytest.fixture
async def running():
    """Run something in the background until the test is over."""
    tasks = []

    def start(coroutine):
        tasks.append(asyncio.ensure_future(coroutine))
        return tasks[-1]

    yield start
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled() and task.exception() is not None:
            raise task.exception()


class FakeClock:
    """Time that passes when a test says so."""

    def __init__(self):
        self.now = 1000.0
        self._sleepers: list[tuple[float, asyncio.Future]] = []

    def monotonic(self):
        return self.now

    def wall(self):
        return self.now

    async def sleep_until(self, at):
        if at > self.now:
            future = asyncio.get_running_loop().create_future()
            self._sleepers.append((at, future))
            await future

    async def advance(self, seconds):
        """Let time pass, sleeper by sleeper, so that each sees its own moment."""
        end = self.now + seconds
        while True:
            await settle()
            self._sleepers = [each for each in self._sleepers if not each[1].done()]
            due = [at for at, _ in self._sleepers if at <= end]
            if not due:
                break
            self.now = max(self.now, min(due))
            for at, future in self._sleepers:
                if at <= self.now:
                    future.set_result(None)
        self.now = end
        await settle()


async def settle():
    """Give every ready task its turns."""
    for _ in range(50):
        await asyncio.sleep(0)


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def settled():
    return settle


class FakeKind:
    """An engine that is as well as a test says."""

    name = "fake"
    version = "1"
    slots = 4
    extra_fields = frozenset()
    counts_all_choices = True
    own_seats = 0
    can_sleep = False
    faults = ()
    limits = Limits()

    def __init__(self, url):
        self.address = EngineAddress.parse(url)
        self.spec = LaunchSpec(("engine",))
        self.failure: Exception | None = None
        self.is_well = True
        self.is_unwell: Exception | None = None
        self.computes = asyncio.Event()
        self.computes.set()
        self.models = (ServedModel(ModelId("a"), "a", ("/v1/chat/completions",)),)
        self.looks: list[str] = []
        self.numbers: EngineLoad | None = None
        self.orders: list[str] = []
        self.disobeys = False
        self.is_adaptable = True
        self.obeys = asyncio.Event()
        self.obeys.set()

    def adapt(self, adapters):
        self.orders.append(adapters)
        return self.is_adaptable

    async def prepare(self, report):
        if self.failure is not None:
            raise self.failure
        return self.spec

    async def discover(self, client):
        return self._say("discover")

    async def look(self, client):
        models = self._say("look")
        if self.is_unwell is not None:
            raise self.is_unwell
        return models

    async def canary(self, client):
        await self.computes.wait()
        self._say("canary")

    async def load(self, client):
        return self.numbers

    async def sleep(self, client):
        self.orders.append("sleep")
        await self.obeys.wait()
        if self.disobeys:
            raise EngineError("sleep answered 500")

    async def wake(self, client):
        self.orders.append("wake")
        await self.obeys.wait()
        if self.disobeys:
            raise EngineError("wake answered 500")

    def _say(self, what):
        self.looks.append(what)
        if not self.is_well:
            raise EngineError("no answer")
        return self.models

    def explain(self, ended):
        return f"code {ended.code}"


class FakeRun:
    """A process that ends when told to."""

    def __init__(self, started):
        self.over = asyncio.get_running_loop().create_future()
        self.orders = []
        self.started = started
        self.is_stubborn = False
        self.addresses = ()

    async def exposed(self):
        return self.addresses

    async def run(self):
        self.started(4711)
        try:
            return await self.over
        finally:
            self.orders.append("gone")

    def terminate(self, within_seconds=None):
        hurry = "" if within_seconds is None else f" within {within_seconds:g}"
        self.orders.append(f"terminate{hurry}")
        if not self.is_stubborn:
            self.end(0)

    def kill(self):
        self.orders.append("kill")
        self.end(-9)

    def end(self, code):
        if not self.over.done():
            self.over.set_result(Ended(code))


class Stage:
    """A supervisor with all its neighbours."""

    def __init__(self, clock, kind, **facts):
        self.clock = clock
        self.kind = kind
        self.views = []
        self.runs = []
        self.addresses = ()
        self.supervisor = EngineSupervisor(
            kind,
            publish=self.views.append,
            clock=clock,
            records=None,
            make_run=self._make_run,
            **facts,
        )

    def _make_run(self, spec, started):
        assert spec is self.kind.spec
        self.runs.append(FakeRun(started))
        self.runs[-1].addresses = self.addresses
        return self.runs[-1]

    @property
    def states(self):
        return [view.state for view in self.views]


@pytest.fixture
async def stage(clock, running, socket_folder):
    def make(start=True, can_sleep=False, addresses=(), numbers=None, **facts):
        kind = FakeKind(f"unix://{socket_folder}/e.sock")
        kind.can_sleep, kind.numbers = can_sleep, numbers
        it = Stage(clock, kind, **facts)
        it.addresses = addresses

        def run():
            it.task = running(it.supervisor.run())

        it.run = run
        if start:
            run()
        return it

    return make


@pytest.fixture
async def clients():
    made = []

    def make(url, **settings):
        made.append(EngineClient(EngineAddress.parse(url, **settings)))
        return made[-1]

    yield make
    for client in made:
        await client.close()
