from __future__ import annotations

import asyncio
import dataclasses
import heapq
import itertools
import json

import pytest

from byoi_agent.engine.view import EngineView, ServedModel
from byoi_agent.errors import EngineError
from byoi_agent.node.board import Board
from byoi_agent.node.view import NodeView
from byoi_agent.serving.dispatcher import Dispatcher
from byoi_agent.serving.neighbours import Surroundings
from byoi_wire.ids import ModelId, NodeId, RequestId, StreamId
from byoi_wire.messages import OpenHead
from byoi_wire.requests import ROUTES
from byoi_wire.usage import Usage

CHAT = "/v1/chat/completions"
DONE = b"data: [DONE]\n\n"


class FakeClock:
    """Time that moves only when told."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return 1_800_000_000.0 + self.now

    async def sleep_until(self, at: float) -> None:
        if at > self.now:
            future = asyncio.get_running_loop().create_future()
            heapq.heappush(self._sleepers, (at, next(self._order), future))
            await future

    async def advance(self, seconds: float) -> None:
        """Second by second, so that whoever looks each second does."""
        end = self.now + seconds
        while self.now < end:
            self.now = min(self.now + 1.0, end)
            while self._sleepers and self._sleepers[0][0] <= self.now:
                future = heapq.heappop(self._sleepers)[2]
                if not future.done():
                    future.set_result(None)
            await turns()


async def turns(count: int = 8) -> None:
    """Let callbacks that are due run."""
    for _ in range(count):
        await asyncio.sleep(0)


class FakeSession:
    """Writes down what a node does to its streams; `log` is what all fakes share, in order."""

    def __init__(self, log) -> None:
        self.log = log
        self.has_room = True
        self.consumed_bytes = 0

    def send_head(self, stream, head):
        self.log.append(("head", head.status, dict(head.headers)))

    def send(self, stream, data):
        self.log.append(("data", data))
        return self.has_room

    def end(self, stream, trailer=None):
        self.log.append(("end", trailer))

    def reset(self, stream, code, reason=""):
        self.log.append(("reset", code.name, reason))

    def consumed(self, stream, count):
        self.consumed_bytes += count


class FakeOutbox:
    """Commits when `gate` is open."""

    def __init__(self, log) -> None:
        self.log = log
        self.refusal = None
        self.error = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def commit(self, record):
        if self.error is not None:
            raise self.error
        await self.gate.wait()
        self.log.append(("commit", record))


class FakeExchange:
    def __init__(self, log) -> None:
        self._log = log
        self.is_paused = False
        self.is_aborted = False
        self.is_over = False

    def pause(self):
        self.is_paused = True

    def resume(self):
        self.is_paused = False

    def abort(self):
        if not self.is_aborted and not self.is_over:
            self._log.append(("abort",))
            self.is_aborted = True


class FakeEngine:
    """The pool, its only engine, that one's client, kind and supervisor, all in one."""

    def __init__(self, log, key="engine") -> None:
        self.key = key
        self.log = log
        self.requests = []
        self.suspicions = []
        self.connect_error = None
        self.connect_gate = asyncio.Event()
        self.connect_gate.set()
        self.counted = Usage(prompt_tokens=11, completion_tokens=7)
        self.count_error = None
        self.count_gate = asyncio.Event()
        self.count_gate.set()
        self.counts = []
        self.extra_fields = frozenset({"top_k"})
        self.counts_all_choices = True
        self.view = EngineView(
            state="ready",
            kind="fake",
            models=(
                ServedModel(ModelId("small"), "small", tuple(ROUTES)),
                ServedModel(ModelId("alias"), "real-name", (CHAT,)),
            ),
            slots=2,
            key=self.key,
        )
        self.demands = []

    @property
    def client(self):
        return self

    @property
    def kind(self):
        return self

    @property
    def views(self):
        return (self.view,)

    def engine_for(self, model):
        return self

    def demand(self, key, running, waiting):
        self.demands.append((key, running, waiting))

    def suspect(self, reason):
        self.suspicions.append(reason)

    async def send(self, method, path, headers, body, handler):
        await self.connect_gate.wait()
        if self.connect_error is not None:
            raise self.connect_error
        exchange = FakeExchange(self.log)
        self.requests.append(SentRequest(method, path, headers, body, handler, exchange))
        return exchange

    async def count(self, client, path, request, text):
        self.log.append(("count",))
        self.counts.append((path, request, text))
        await self.count_gate.wait()
        if self.count_error is not None:
            raise self.count_error
        return self.counted

    def translate_error(self, status, body, path=""):
        if status == 503:
            return 503, {"error": {"message": "busy", "code": "engine_not_ready"}}
        if b"too large" not in body and status not in {400, 413, 422}:
            return 502, {"error": {"message": "no", "type": "server_error", "code": "engine_error"}}
        return 400, {"error": {"message": "too long", "code": "context_length_exceeded"}}


class FakePool:
    """Engines of one model each, loaded or not as a test says."""

    def __init__(self, log, **slots) -> None:
        self.engines = {key: FakeEngine(log, key) for key in slots}
        self.faces = {}
        self.homes = {}
        self.demands = []
        for key, count in slots.items():
            self.show(key, "ready", count)

    def show(self, key, state, slots=2, *, is_offered=True, model=None):
        """`ready`, or on its way there, or not to be had at all."""
        is_ready = state == "ready"
        name = ModelId(model or key)
        model = ServedModel(name, key, tuple(ROUTES), is_loaded=is_ready, slots=slots)
        self.faces[key] = EngineView(
            state=state,
            kind="fake",
            models=(model,) if is_offered else (),
            slots=slots if is_ready else 0,
            key=key,
        )
        # An engine itself knows its models once it serves.
        models = (model,) if is_ready else ()
        self.engines[key].view = dataclasses.replace(self.faces[key], models=models)

    @property
    def views(self):
        return tuple(self.faces.values())

    @property
    def view(self):
        models = tuple(model for view in self.views for model in view.models)
        slots = sum(view.slots for view in self.views)
        return EngineView("ready" if models else "stopped", "fake", models, slots)

    def engine_for(self, model):
        return self.engines.get(self.homes.get(model, model))

    def demand(self, key, running, waiting):
        self.demands.append((key, running, waiting))


class SentRequest:
    """One request as the engine got it, and the means to answer it."""

    def __init__(self, method, path, headers, body, handler, exchange) -> None:
        self.method, self.path, self.headers, self.body = method, path, headers, body
        self.handler, self.exchange = handler, exchange

    @property
    def json(self):
        return json.loads(self.body)

    def head(self, status=200, content_type="text/event-stream; charset=utf-8"):
        headers = {"content-type": content_type, "server": "secret/1.0"}
        self.handler.head_received(status, headers)

    def events(self, *blocks):
        for block in blocks:
            if not self.exchange.is_aborted:
                self.handler.body_received(block)

    def end(self):
        if not self.exchange.is_aborted:
            self.exchange.is_over = True
            self.handler.body_ended()

    def answer(self, value, status=200):
        self.head(status, "application/json")
        self.events(json.dumps(value).encode())
        self.end()

    def die(self):
        if not self.exchange.is_aborted:
            self.exchange.is_over = True
            self.handler.failed(EngineError("connection reset by the secret engine"))


class Node:
    """A dispatcher among fakes, and what its peers see of it."""

    def __init__(self, clock, make_engine=FakeEngine) -> None:
        self.log = []
        self.clock = clock
        self.engine = make_engine(self.log)
        self.outbox = FakeOutbox(self.log)
        self.session = FakeSession(self.log)
        self.board = Board(
            NodeView(node_id=NodeId("node"), agent_version="1", engine=self.engine.view, queue=1)
        )
        around = Surroundings(NodeId("node"), self.engine, self.outbox, clock, b"secret")
        self.dispatcher = Dispatcher(around, self.board)
        self._ids = itertools.count(1)

    def set_engine(self, **changes):
        self.engine.view = dataclasses.replace(self.engine.view, **changes)
        self.board.update(engine=self.engine.view)

    def show(self, key, state, slots=2, **how):
        """One of several engines changes, and the board hears of it."""
        self.engine.show(key, state, slots, **how)
        self.board.update(engine=self.engine.view)

    def open(self, body, *, send=True, session=None, **changes):
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        number = next(self._ids)
        facts = {
            "request_id": RequestId(f"req-{number}"),
            "attempt": 1,
            "ticket": "ticket",
            "tenant": "tenant",
            "path": CHAT,
            "model": ModelId("small"),
            "deadline_seconds": 600.0,
            "body_bytes": len(raw),
        }
        head = OpenHead(**{**facts, **changes})
        handler = self.dispatcher.accept(session or self.session, StreamId(number), head)
        if send:
            half = len(raw) // 2
            handler.data_received(raw[:half])
            handler.data_received(raw[half:])
            handler.end_received(b"")
        return handler

    async def ask(self, body=None, **changes):
        """Open a chat stream and wait until the engine has it."""
        handler = self.open(body or chat(), **changes)
        await turns()
        return handler, self.engine.requests[-1]

    def names(self):
        return [entry[0] for entry in self.log]

    @property
    def sent(self) -> bytes:
        return b"".join(entry[1] for entry in self.log if entry[0] == "data")

    @property
    def records(self):
        return [entry[1] for entry in self.log if entry[0] == "commit"]

    @property
    def record(self):
        (record,) = self.records
        return record

    @property
    def resets(self):
        return [entry[1:] for entry in self.log if entry[0] == "reset"]

    @property
    def heads(self):
        return [entry[1:] for entry in self.log if entry[0] == "head"]

    @property
    def trailer(self):
        (trailer,) = [entry[1] for entry in self.log if entry[0] == "end"]
        return trailer


def chat(**fields):
    return {
        "model": "small",
        "messages": [{"role": "user", "content": "a secret question"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        **fields,
    }


def event(value) -> bytes:
    return b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n"


def word(text, index=0) -> bytes:
    choice = {"index": index, "delta": {"content": text}, "finish_reason": None}
    return event({"id": "c", "choices": [choice]})


def finish(reason="stop", index=0) -> bytes:
    return event({"choices": [{"index": index, "delta": {}, "finish_reason": reason}]})


def usage(prompt=9, completion=2) -> bytes:
    counts = {"prompt_tokens": prompt, "completion_tokens": completion,
              "total_tokens": prompt + completion}  # fmt: skip
    return event({"choices": [], "usage": counts})


class Say:
    """The words of an engine."""

    chat = staticmethod(chat)
    event = staticmethod(event)
    word = staticmethod(word)
    finish = staticmethod(finish)
    usage = staticmethod(usage)
    turns = staticmethod(turns)
    DONE = DONE


@pytest.fixture
def say():
    return Say


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
async def idle_node(clock):
    return Node(clock)


@pytest.fixture
async def node(idle_node):
    node = idle_node
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(node.dispatcher.run())
        await turns()
        yield node
        running.cancel()


@pytest.fixture
async def several(clock):
    """A node of two engines: `big` and `other`, each with two slots."""
    node = Node(clock, lambda log: FakePool(log, big=2, other=2))
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(node.dispatcher.run())
        await turns()
        yield node
        running.cancel()
