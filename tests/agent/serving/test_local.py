"""The owner's own /v1 over real sockets, before a dispatcher among fakes."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import json

import aiohttp
import pytest

from byoi_agent.serving import local, local_writing
from byoi_agent.serving.local import LocalServer
from byoi_agent.serving.local_place import listen
from byoi_agent.serving.neighbours import Surroundings
from byoi_agent.serving.own_use import OwnUse
from byoi_wire.ids import NodeId

CHAT = "/v1/chat/completions"


class Program:
    """One of the owner's programs, and the node that it asks."""

    def __init__(self, node, server, session, url) -> None:
        self.node, self.server = node, server
        self.url, self._session = url, session

    def ask(self, body, path=CHAT, **headers):
        return self._session.post(f"{self.url}{path}", json=body, headers=headers)

    def send(self, data):
        headers = {"Content-Type": "application/json"}
        return self._session.post(f"{self.url}{CHAT}", data=data, headers=headers)

    def get(self, path, **headers):
        return self._session.get(f"{self.url}{path}", headers=headers)

    async def request(self, count=1):
        """The engine's side of the latest request, once there are so many."""
        async with asyncio.timeout(60):
            while len(self.node.engine.requests) < count:
                await asyncio.sleep(0)  # the loop turns until the socket has told
        return self.node.engine.requests[-1]


@pytest.fixture
async def program(node):
    around = Surroundings(NodeId("node"), node.engine, OwnUse(), node.clock, b"own", is_own=True)
    server = LocalServer(node.dispatcher, node.board, around, key=None)
    listeners = listen(0)
    url = f"http://127.0.0.1:{listeners[0].getsockname()[1]}"
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(server.run(listeners))
        async with aiohttp.ClientSession() as session:
            yield Program(node, server, session, url)
        running.cancel()


async def told(response):
    return response.status, (await response.json())["error"]["code"]


async def test_a_stream_comes_as_the_engine_says_it(program, say):
    asked = asyncio.ensure_future(program.ask(say.chat()).__aenter__())
    request = await program.request()
    request.head()
    request.events(say.word("Hi"))
    response = await asked
    assert response.status == 200
    assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert response.headers["X-Request-Id"].startswith("own_")
    assert await response.content.readuntil(b"\n\n") == say.word("Hi")
    request.events(say.finish(), say.usage(), say.DONE)
    assert (await response.read()).endswith(say.DONE)


async def test_a_whole_answer_has_its_length(program, say):
    asked = asyncio.ensure_future(
        program.ask(say.chat(stream=False, stream_options=None)).__aenter__()
    )
    request = await program.request()
    answer = {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}
    request.answer({**answer, "usage": {"prompt_tokens": 1, "completion_tokens": 1}})
    response = await asked
    assert (await response.json())["choices"] == answer["choices"]
    assert response.content_length is not None
    assert response.headers.getall("Content-Type") == ["application/json"]


async def test_models(program):
    async with program.get("/v1/models") as response:
        assert [each["id"] for each in (await response.json())["data"]] == ["small", "alias"]
    async with program.get("/v1/models/small") as response:
        assert (await response.json())["id"] == "small"
    async with program.get("/v1/models/smo") as response:
        assert await told(response) == (404, "model_not_found")


async def test_what_is_refused_is_refused_in_openais_form(program, say):
    async with program.ask(say.chat(model="nobody")) as response:
        assert await told(response) == (404, "model_not_found")
    async with program.ask({"model": "small"}) as response:
        assert await told(response) == (400, "missing_required_parameter")
    async with program.ask(say.chat(unheard_of=1)) as response:
        assert response.status == 400
    async with program.ask(say.chat(), Origin="http://evil.example") as response:
        assert await told(response) == (403, "not_a_local_program")
    async with program.get("/nothing") as response:
        assert await told(response) == (404, "unknown_url")
    async with program.get(CHAT) as response:
        assert await told(response) == (405, "method_not_supported")
        assert response.headers["Allow"] == "POST"
    assert program.node.engine.requests == []


async def test_a_body_beyond_the_limit_is_refused(program):
    huge = io.BytesIO(b"x" * (local.BODY_LIMIT_BYTES + 1))
    async with program.send(huge) as response:
        assert await told(response) == (413, "body_too_large")


async def test_a_body_that_says_itself_to_be_beyond_the_limit_is_not_waited_for(program):
    url = program.url.removeprefix("http://")
    reader, writer = await asyncio.open_connection(*url.split(":"))
    length = local.BODY_LIMIT_BYTES + 1
    head = f"POST {CHAT} HTTP/1.1\r\nHost: {url}\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: {length}\r\n\r\n{{".encode())
    async with asyncio.timeout(60):
        assert (await reader.readline()).split()[1] == b"413"
    writer.close()
    await writer.wait_closed()


async def test_a_program_that_does_not_read_holds_the_engine_and_nothing_is_lost(program, say):
    asked = asyncio.ensure_future(program.ask(say.chat()).__aenter__())
    request = await program.request()
    request.head()
    sent, piece = 0, say.word("x" * 60_000)
    async with asyncio.timeout(60):
        while not request.exchange.is_paused:
            request.events(piece)
            sent += 1
            await asyncio.sleep(0)
    response = await asked
    for _ in range(sent):
        assert await response.content.readexactly(len(piece)) == piece
    async with asyncio.timeout(60):
        while request.exchange.is_paused:
            await asyncio.sleep(0)
    request.events(say.finish(), say.usage(), say.DONE)
    assert (await response.read()).endswith(say.DONE)


async def test_with_a_key_only_who_shows_it(program):
    program.server.key = "secret"
    async with program.get("/v1/models") as response:
        assert await told(response) == (401, "invalid_api_key")
        assert response.headers["WWW-Authenticate"] == "Bearer"
    async with program.get("/v1/models", Authorization="Bearer secret") as response:
        assert response.status == 200


async def test_a_program_that_leaves_stops_the_engine(program, say):
    asked = asyncio.ensure_future(program.ask(say.chat()).__aenter__())
    request = await program.request()
    request.head()
    request.events(say.word("Hi"))
    (await asked).close()
    async with asyncio.timeout(60):
        while not request.exchange.is_aborted:
            await asyncio.sleep(0)


async def test_an_engine_that_dies_before_or_in_an_answer(program, say):
    asked = asyncio.ensure_future(program.ask(say.chat()).__aenter__())
    (await program.request()).die()
    assert await told(await asked) == (502, "engine_error")
    asked = asyncio.ensure_future(program.ask(say.chat()).__aenter__())
    request = await program.request(2)
    request.head()
    request.events(say.word("Hi"))
    response = await asked
    request.die()
    last = (await response.read()).removeprefix(say.word("Hi")).removeprefix(b"data: ")
    assert json.loads(last)["error"]["code"] == "engine_error"


async def test_an_error_of_the_engines_is_told_with_its_status(program, say):
    asked = asyncio.ensure_future(program.ask(say.chat()).__aenter__())
    (await program.request()).answer({"error": {"message": "too large"}}, status=400)
    assert await told(await asked) == (400, "context_length_exceeded")


async def test_a_stream_is_commented_on_while_its_engine_starts(program, say, monkeypatch):
    monkeypatch.setattr(local, "COMMENT_SECONDS", 0.01)
    monkeypatch.setattr(local_writing, "COMMENT_SECONDS", 0.01)
    ready = program.node.engine.view
    program.node.set_engine(state="starting", models=(), slots=0)
    asked = asyncio.ensure_future(program.ask(say.chat()).__aenter__())
    response = await asked
    assert await response.content.readuntil(b"\n\n") == b": keep-alive\n\n"
    program.node.engine.view = dataclasses.replace(ready)
    program.node.board.update(engine=ready)
    request = await program.request()
    request.answer({"error": {"message": "too large"}}, status=400)
    body = (await response.read()).replace(b": keep-alive\n\n", b"")
    assert json.loads(body.removeprefix(b"data: "))["error"]["code"] == "context_length_exceeded"


async def test_an_engine_that_its_owner_put_to_sleep_is_not_waited_for(program, say):
    program.node.set_engine(state="asleep", models=(), slots=0)
    async with program.ask(say.chat()) as response:
        assert await told(response) == (503, "engine_not_ready")
        assert response.headers["Retry-After"]


async def test_a_node_that_stops_finishes_what_is_here_and_takes_nothing_new(program, say):
    asked = asyncio.ensure_future(program.ask(say.chat()).__aenter__())
    request = await program.request()
    drained = asyncio.ensure_future(program.node.dispatcher.drain(30.0))
    await say.turns()
    async with program.ask(say.chat()) as response:
        assert await told(response) == (503, "draining")
    request.head()
    request.events(say.word("Hi"), say.finish(), say.usage(), say.DONE)
    assert (await (await asked).read()).endswith(say.DONE)
    await drained
