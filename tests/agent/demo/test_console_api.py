from __future__ import annotations

import json

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from byoi_agent.demo.console_api import ConsoleAnswered, ConsoleApi


def event(text=None, **more):
    delta = {} if text is None else {"content": text}
    return f"data: {json.dumps({'choices': [{'delta': delta}], **more})}\n\n".encode()


DONE = b"data: [DONE]\n\n"


class Console:
    def __init__(self):
        self.asked = []
        self.status = 200
        self.pieces = [event("Par"), event("is") + event(), DONE]

    async def keys(self, request):
        self.asked.append((request.headers["authorization"], await request.json()))
        return web.json_response({"key": "sk-byoi-new"}, status=201)

    async def refused(self, _request):
        return web.json_response({"error": {"message": "not yours"}}, status=403)

    async def chat(self, request):
        self.asked.append(await request.json())
        if self.status != 200:
            return web.json_response({"error": {"message": "no node is free"}}, status=self.status)
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for piece in self.pieces:
            await response.write(piece)
        return response


@pytest.fixture
async def console():
    made = Console()
    app = web.Application()
    app.router.add_post("/api/keys", made.keys)
    app.router.add_get("/api/nodes", made.refused)
    app.router.add_post("/v1/chat/completions", made.chat)
    server = TestServer(app)
    await server.start_server()
    made.url = str(server.make_url("/")).rstrip("/")
    yield made
    await server.close()


@pytest.fixture
async def api(console):
    made = ConsoleApi(console.url, "sk-byoi-admin")
    yield made
    await made.close()


async def text_of(api):
    return [piece async for piece in api.chat("m", "Capital of France?")]


async def test_a_call_carries_the_key_and_gives_the_answer(api, console):
    assert await api.call("POST", "/api/keys", {"name": "demo"}) == {"key": "sk-byoi-new"}
    assert console.asked == [("Bearer sk-byoi-admin", {"name": "demo"})]


async def test_a_refusal_is_told_in_the_consoles_words(api):
    with pytest.raises(ConsoleAnswered, match=r"refused \(403\): not yours"):
        await api.call("GET", "/api/nodes")
    with pytest.raises(ConsoleAnswered, match="404"):
        await api.call("GET", "/none")


async def test_an_answer_comes_piece_by_piece(api, console):
    assert await text_of(api) == ["Par", "is"]
    assert console.asked[0]["stream"] is True


async def test_events_torn_anywhere_are_whole_again(api, console):
    whole = b"".join(console.pieces)
    console.pieces = [whole[place : place + 7] for place in range(0, len(whole), 7)]
    assert await text_of(api) == ["Par", "is"]


async def test_a_refused_question_is_told(api, console):
    console.status = 503
    with pytest.raises(ConsoleAnswered, match="no node is free"):
        await text_of(api)


async def test_an_error_in_mid_stream_is_told(api, console):
    console.pieces = [event("Par"), b'data: {"error": {"message": "the engine died"}}\n\n', DONE]
    with pytest.raises(ConsoleAnswered, match="the engine died"):
        await text_of(api)


async def test_an_answer_that_breaks_off_is_no_answer(api, console):
    console.pieces = [event("Par")]
    with pytest.raises(ConsoleAnswered, match="broke off"):
        await text_of(api)


async def test_a_console_that_is_gone_is_told():
    api = ConsoleApi("http://127.0.0.1:1", "k")
    with pytest.raises(ConsoleAnswered, match="does not answer"):
        await api.call("GET", "/api/nodes")
    with pytest.raises(ConsoleAnswered, match="does not answer"):
        await text_of(api)
