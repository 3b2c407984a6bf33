"""The real engine: installed, started, asked and stopped, as on a provider's machine."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import stat
import tempfile
from pathlib import Path

import platformdirs
import pytest
import pytest_asyncio

from byoi_agent.clock import SystemClock
from byoi_agent.engine.guard import stat_of
from byoi_agent.engine.kinds.attached import Attached
from byoi_agent.engine.kinds.llamacpp import LlamaCpp
from byoi_agent.engine.kinds.probes import CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES
from byoi_agent.engine.runtimes import Runtimes
from byoi_agent.engine.supervisor import EngineSupervisor
from byoi_agent.models.catalogue import DEFAULT_MODEL, find
from byoi_agent.models.hub import ModelStore
from byoi_wire.http.sse import EventSplitter, data_of, events

pytestmark = [pytest.mark.engine, pytest.mark.asyncio(loop_scope="module")]

CAPITAL = [{"role": "user", "content": "What is the capital of France?"}]


class Running:
    """The engine under its supervisor."""

    def __init__(self, folder):
        cache = platformdirs.user_cache_path("byoi", appauthor=False)
        self.views = []
        self.changed = asyncio.Event()
        self.socket = folder / "e.sock"
        self.kind = LlamaCpp(
            find(DEFAULT_MODEL),
            runtimes=Runtimes(cache / "engines"),
            store=ModelStore(cache / "models"),
            socket_path=self.socket,
            slots=3,  # among which no power of two is divided evenly
        )
        self.supervisor = EngineSupervisor(
            self.kind, publish=self._publish, clock=SystemClock(), records=folder / "records"
        )

    def _publish(self, view):
        self.views.append(view)
        self.changed.set()

    async def until(self, condition):
        while not condition(self.supervisor.view):
            self.changed.clear()
            await self.changed.wait()

    async def ask(self, path, body):
        answer = await self.supervisor.client.fetch(
            "POST", path, json.dumps(body).encode(), timeout_seconds=60
        )
        return answer.status, json.loads(answer.body)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine():
    folder = Path(tempfile.mkdtemp(prefix="byoi-"))
    it = Running(folder)
    task = asyncio.ensure_future(it.supervisor.run())
    async with asyncio.timeout(240):
        await it.until(lambda view: view.state == "ready")
    yield it
    pid = it.supervisor.view.pid
    task.cancel()
    await asyncio.wait([task])
    left = stat_of(pid)
    assert left is None or left[0] in "ZX"
    assert not it.socket.exists()
    assert not list((folder / "records").iterdir())
    shutil.rmtree(folder)


async def test_its_socket_is_the_owners_alone(engine):
    assert stat.S_IMODE(engine.socket.stat().st_mode) == 0o600


async def test_a_chat_is_readable_and_right(engine):
    status, answer = await engine.ask(CHAT, {"messages": CAPITAL, "temperature": 0})
    assert status == 200
    assert "Paris" in answer["choices"][0]["message"]["content"]
    assert answer["model"] == DEFAULT_MODEL


async def test_a_stream_counts_as_the_tokenizer_does(engine, hearing):
    body = {
        "messages": CAPITAL,
        "stream": True,
        "temperature": 0,
        "max_tokens": 6,
        "stream_options": {"include_usage": True},
    }
    handler = hearing()
    await engine.supervisor.client.send(
        "POST", CHAT, {"content-type": "application/json"}, json.dumps(body).encode(), handler
    )
    assert await handler.over == "ended"
    whole = EventSplitter().feed(bytes(handler.body))
    *chunks, done = [data_of(event) for event in events(whole)]
    assert done == b"[DONE]"
    parsed = [json.loads(chunk) for chunk in chunks]
    deltas = [chunk["choices"][0]["delta"] for chunk in parsed if chunk["choices"]]
    text = "".join(delta.get("content") or "" for delta in deltas)
    usage = await engine.kind.count(engine.supervisor.client, CHAT, body, text)
    assert usage.prompt_tokens == parsed[-1]["usage"]["prompt_tokens"]
    assert usage.completion_tokens == parsed[-1]["usage"]["completion_tokens"] == 6


async def test_completions_embeddings_and_responses_answer_in_the_same_process(engine):
    status, answer = await engine.ask(
        COMPLETIONS, {"prompt": "The capital of France is", "max_tokens": 4, "temperature": 0}
    )
    assert status == 200
    assert "Paris" in answer["choices"][0]["text"]
    status, answer = await engine.ask(EMBEDDINGS, {"input": ["cat", "dog"]})
    assert status == 200
    assert [len(each["embedding"]) for each in answer["data"]] == [576, 576]
    status, answer = await engine.ask(RESPONSES, {"input": CAPITAL, "temperature": 0})
    assert status == 200
    assert "Paris" in answer["output"][0]["content"][0]["text"]


async def test_a_schema_is_enforced(engine):
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 20}},
        "required": ["city"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "c", "strict": True, "schema": schema}}
    body = {"messages": CAPITAL, "response_format": form, "max_tokens": 60, "temperature": 0}
    _, answer = await engine.ask(CHAT, body)
    assert set(json.loads(answer["choices"][0]["message"]["content"])) == {"city"}


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES])
async def test_a_prompt_that_is_too_long_is_said_with_its_numbers(engine, path):
    words = "hello " * 3000
    key = {CHAT: "messages", COMPLETIONS: "prompt"}.get(path, "input")
    body = {key: [{"role": "user", "content": words}] if path == CHAT else words}
    answer = await engine.supervisor.client.fetch(
        "POST", path, json.dumps(body).encode(), timeout_seconds=60
    )
    status, error = engine.kind.translate_error(answer.status, answer.body, path)
    assert status == 400
    assert error["error"]["code"] == "context_length_exceeded"
    assert " resulted in 30" in error["error"]["message"]


async def test_its_usage_of_several_choices_is_one_choices_alone(engine):
    """If this fails, llama.cpp has mended it: `counts_all_choices` may become true."""
    body = {"messages": CAPITAL, "n": 2, "max_tokens": 3, "temperature": 0}
    _, answer = await engine.ask(CHAT, body)
    assert len(answer["choices"]) == 2
    assert answer["usage"]["completion_tokens"] == 3
    assert engine.kind.counts_all_choices is False


async def test_an_abort_frees_the_slot(engine, hearing):
    body = {"messages": CAPITAL, "stream": True, "max_tokens": 2000, "ignore_eos": True}
    handler = hearing()
    exchange = await engine.supervisor.client.send(
        "POST", CHAT, {"content-type": "application/json"}, json.dumps(body).encode(), handler
    )
    await handler.some.wait()
    exchange.abort()
    async with asyncio.timeout(60):
        while await self_processing(engine):
            await asyncio.sleep(0.05)


async def self_processing(engine):
    answer = await engine.supervisor.client.fetch("GET", "/slots", timeout_seconds=60)
    return [slot for slot in json.loads(answer.body) if slot["is_processing"]]


async def test_it_may_be_attached_by_another_who_finds_all_its_routes(engine):
    kind = Attached(engine.kind.address)
    (served,) = await kind.discover(engine.supervisor.client)
    assert served.id == DEFAULT_MODEL
    assert served.context_tokens == 2048
    assert set(served.routes) == {CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES}
    usage = await kind.count(engine.supervisor.client, COMPLETIONS, {"prompt": "a b"}, "c")
    assert (usage.prompt_tokens, usage.completion_tokens) == (2, 1)


async def test_killed_it_comes_back_by_itself(engine):
    before = engine.supervisor.view
    os.kill(before.pid, 9)
    async with asyncio.timeout(240):
        await engine.until(lambda view: view.state != "ready")
        await engine.until(lambda view: view.state == "ready" and view.pid != before.pid)
    assert engine.supervisor.view.restarts == before.restarts + 1
    status, _ = await engine.ask(CHAT, {"messages": CAPITAL, "max_tokens": 1})
    assert status == 200
