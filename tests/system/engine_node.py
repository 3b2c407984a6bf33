"""A node without its link, in this process: a managed stand-in engine, its supervisor, requests."""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from byoi_agent.clock import SystemClock
from byoi_agent.config.settings import Settings
from byoi_agent.engine.address import EngineAddress
from byoi_agent.engine.client import EngineClient
from byoi_agent.engine.entries import ONLY, Entry
from byoi_agent.engine.guard import stat_of
from byoi_agent.engine.kinds import probes
from byoi_agent.engine.kinds.errors import translate
from byoi_agent.engine.kinds.metrics import ask_load
from byoi_agent.engine.kinds.tokenizers import count_with_vllm
from byoi_agent.engine.life import Limits
from byoi_agent.engine.pool import EnginePool
from byoi_agent.engine.process import LaunchSpec
from byoi_agent.engine.supervisor import EngineSupervisor
from byoi_agent.engine.view import ServedModel
from byoi_agent.errors import EngineError
from byoi_agent.node.board import Board
from byoi_agent.node.view import NodeView
from byoi_agent.serving.dispatcher import Dispatcher
from byoi_agent.serving.neighbours import Surroundings
from byoi_wire.ids import ModelId, NodeId, RequestId, StreamId
from byoi_wire.messages import OpenHead

if TYPE_CHECKING:
    from byoi_wire.messages import ResetCode

CHAT = "/v1/chat/completions"
MODEL = ModelId("stand-in")
STAND_IN = Path(__file__).parent.parent / "fakes" / "engine.py"
STOP_SECONDS = 1.0
SLOW_SECONDS = 60.0
"""Within which any machine has done what it is waited for."""


class StandIn:
    """The stand-in as a managed kind, asked as vLLM is."""

    name = "stand-in"
    version = "1"
    slots = 4
    extra_fields = frozenset()
    counts_all_choices = True
    own_seats = 0
    faults = ()
    offers = (ServedModel(MODEL, str(MODEL), (CHAT,)),)
    weight_bytes = 0
    uses_gpus = 0
    limits = Limits(
        startup_seconds=SLOW_SECONDS, drain_seconds=STOP_SECONDS, first_back_off_seconds=0.1
    )

    def __init__(self, socket_path: Path, *flags: str, can_sleep: bool = False) -> None:
        self.address = EngineAddress.parse(f"unix://{socket_path}")
        self.can_sleep = can_sleep
        self._argv = (sys.executable, str(STAND_IN), "--uds", str(socket_path), *flags)

    async def prepare(self, report):
        return LaunchSpec(self._argv, stop_seconds=STOP_SECONDS)

    async def discover(self, client):
        models = await self.look(client)
        await self.canary(client)
        return models

    async def look(self, client):
        answer = await client.fetch("GET", "/health", timeout_seconds=probes.MODELS_SECONDS)
        if answer.status != 200:
            raise EngineError(f"/health answered {answer.status}")
        return self.offers

    async def canary(self, client):
        await probes.one_token(client, str(MODEL))

    async def load(self, client):
        return await ask_load(client)

    async def sleep(self, client):
        await client.fetch("POST", "/sleep", timeout_seconds=5.0)

    async def wake(self, client):
        await client.fetch("POST", "/wake_up", timeout_seconds=5.0)

    async def count(self, client, path, request, text):
        return await count_with_vllm(client, path, request, text)

    def translate_error(self, status, body, path=""):
        return translate(status, body, path)

    def explain(self, ended):
        return f"it ended with code {ended.code}"


class Stream:
    """What the console's end of one stream sees."""

    def __init__(self) -> None:
        self.status: int | None = None
        self.body = bytearray()
        self.some = asyncio.Event()
        self.over: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.reason = ""

    @property
    def words(self) -> list[str]:
        events = [
            line[6:] for line in self.body.decode().split("\n\n") if line.startswith("data: ")
        ]
        choices = [json.loads(event)["choices"] for event in events if event != "[DONE]"]
        return [
            each[0]["delta"]["content"]
            for each in choices
            if each and each[0]["delta"].get("content")
        ]


class Session:
    """Stands for the link."""

    def __init__(self) -> None:
        self.streams: dict[StreamId, Stream] = {}

    def send_head(self, stream, head):
        self.streams[stream].status = head.status

    def send(self, stream, data):
        self.streams[stream].body += data
        self.streams[stream].some.set()
        return True

    def end(self, stream, trailer=None):
        self.streams[stream].over.set_result("end")

    def reset(self, stream, code: ResetCode, reason=""):
        self.streams[stream].reason = reason
        if not self.streams[stream].over.done():
            self.streams[stream].over.set_result(code.name)

    def consumed(self, stream, count): ...


class Records:
    """Stands for the outbox."""

    refusal = None

    def __init__(self) -> None:
        self.all = []

    async def commit(self, record):
        self.all.append(record)


class Node:
    """All of it, and what a test asks of it."""

    def __init__(self, kind: StandIn, folder: Path) -> None:
        self.clock = SystemClock()
        self.board = Board(NodeView(node_id=NodeId("node"), agent_version="1"))
        self.offers = []
        self.board.subscribe(lambda view: self.offers.append((view.engine.state, self.offered)))
        self.engine: EngineSupervisor | None = None
        self.pool = EnginePool(
            [Entry(ONLY, kind, Settings(), is_standing=True)],
            supervise=partial(self._supervise, folder / "runs"),
            publish=self._engine_changed,
            idle=lambda key: self.dispatcher.idle(key),
            clock=self.clock,
        )
        self._engine_changed(self.pool.view)
        self.records = Records()
        self.session = Session()
        around = Surroundings(NodeId("node"), self.pool, self.records, self.clock, b"secret")
        self.dispatcher = Dispatcher(around, self.board)
        self._side = EngineClient(kind.address)
        self._ids = itertools.count(1)

    def _supervise(self, records, entry, publish, *, starts):
        self.engine = EngineSupervisor(
            entry.kind, publish=publish, clock=self.clock, records=records, starts=starts
        )
        return self.engine

    def _engine_changed(self, view):
        self.board.update(engine=view, engines=self.pool.views)

    @property
    def state(self) -> str:
        return self.engine.view.state

    @property
    def offered(self) -> int:
        """Models that the console is told of."""
        return len(self.board.offer.models)

    def ask(self, prompt="Hello", *, tokens=200, stream=True) -> Stream:
        """Open a stream; the answer comes to what is returned."""
        body = {
            "model": MODEL,
            "messages": [{"role": "user", "content": prompt}],
            "stream": stream,
            "max_tokens": tokens,
        }
        raw, number = json.dumps(body).encode(), StreamId(next(self._ids))
        head = OpenHead(
            request_id=RequestId(f"r{number}"),
            attempt=1,
            ticket="t",
            tenant="t",
            path=CHAT,
            model=MODEL,
            deadline_seconds=60.0,
            body_bytes=len(raw),
        )
        self.session.streams[number] = seen = Stream()
        handler = self.dispatcher.accept(self.session, number, head)
        handler.data_received(raw)
        handler.end_received(b"")
        return seen

    async def flowing(self, count=1, prompt="Hello [[tokens_per_second=50]]") -> list[Stream]:
        """So many streams, each of which has brought some text."""
        streams = [self.ask(prompt) for _ in range(count)]
        for stream in streams:
            await stream.some.wait()
        return streams

    async def becomes(self, *states: str, seconds: float = SLOW_SECONDS) -> None:
        async with asyncio.timeout(seconds):
            await self.board.wait_until(lambda view: view.engine.state in states)

    async def stats(self) -> dict:
        """The engine's own counters, asked beside the requests."""
        return json.loads((await self._told("GET", "/stats")).body)

    async def hold(self, tokens: int) -> None:
        """Every stream stands still once it has so many tokens, until `let_go`."""
        await self._told("POST", "/hold", str(tokens).encode())

    async def let_go(self) -> None:
        await self._told("POST", "/let_go")

    async def _told(self, method: str, path: str, body: bytes = b""):
        return await self._side.fetch(method, path, body, timeout_seconds=SLOW_SECONDS)

    def forget_side(self) -> None:
        self._side.cut()


@asynccontextmanager
async def node_with(folder: Path, *flags: str, can_sleep: bool = False):
    """Run one until the block ends; nothing of its engine may be left then."""
    node = Node(StandIn(folder / "e.sock", *flags, can_sleep=can_sleep), folder)
    tasks = [asyncio.ensure_future(part.run()) for part in (node.pool, node.dispatcher)]
    try:
        yield node
    finally:
        node.forget_side()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def all_gone(pids, seconds: float = SLOW_SECONDS) -> None:
    """Poll: a process that was killed is still seen for a moment."""
    async with asyncio.timeout(seconds):
        while any((stat_of(pid) or "Z")[0] not in "ZX" for pid in pids):
            await asyncio.sleep(0.02)
