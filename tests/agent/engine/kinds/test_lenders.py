"""The answers are those of the servers' own documentation."""

from __future__ import annotations

import asyncio

import pytest

from byoi_agent.engine.address import EngineAddress
from byoi_agent.engine.client import EngineClient
from byoi_agent.engine.kinds.lenders import (
    LlamaRouter,
    LmStudio,
    Ollama,
    VllmAsleep,
    lender_of,
)
from byoi_agent.errors import EngineError


class Server:
    """One that answers an order at once, and has obeyed it only after the next look."""

    def __init__(self, name):
        self.name = name
        self.loaded = ["a:latest", "a:latest:2", "b:7b", "own:1b"]
        self.is_asleep = False
        self.going = []

    @property
    def table(self):
        return {
            "Ollama": {"/api/ps": (200, self.look), "/api/generate": (200, self.unload)},
            "LM Studio": {
                "/api/v1/models": (200, self.look),
                "/api/v1/models/unload": (200, self.unload),
            },
            "llama.cpp's router": {
                "/models": (200, self.look),
                "/models/unload": (200, self.unload),
            },
            "vLLM": {
                "/is_sleeping": (200, self.look),
                "/sleep?level=1": (200, self.unload),
                "/wake_up": (200, b""),
            },
        }[self.name]

    def unload(self, order):
        self.going += ["all"] if order is None else [order.get("model", order.get("instance_id"))]
        return {"model": "a", "response": "", "done": True, "done_reason": "unload"}

    def look(self, _body):
        told = self._told()
        if self.name == "vLLM":
            self.is_asleep = bool(self.going)
        self.loaded = [each for each in self.loaded if each not in self.going]
        return told

    def _told(self):
        if self.name == "Ollama":
            shape = {"size": 6591830464, "size_vram": 5333539264}
            return {"models": [{"name": each, "model": each, **shape} for each in self.loaded]}
        if self.name == "LM Studio":
            found = {"a:latest": [], "b:7b": [], "own:1b": []}
            for each in self.loaded:
                key = "a:latest" if each.startswith("a:") else each
                found[key].append({"id": each, "config": {}})
            models = found.items()
            return {
                "models": [
                    {"type": "llm", "key": key, "loaded_instances": those, "format": "gguf"}
                    for key, those in models
                ]
            }
        if self.name == "vLLM":
            return {"is_sleeping": self.is_asleep}
        states = {"c": "unloaded", **dict.fromkeys(self.loaded, "loaded")}
        if "b:7b" in states:
            states["b:7b"] = "sleeping"
        return {
            "data": [
                {"id": model, "in_cache": True, "status": {"value": state}}
                for model, state in states.items()
            ]
        }


SERVERS = ("Ollama", "LM Studio", "llama.cpp's router", "vLLM")
ORDERS = {
    "Ollama": [
        ("/api/generate", {"model": "a:latest", "keep_alive": 0, "stream": False}),
        ("/api/generate", {"model": "b:7b", "keep_alive": 0, "stream": False}),
    ],
    "LM Studio": [
        ("/api/v1/models/unload", {"instance_id": "a:latest"}),
        ("/api/v1/models/unload", {"instance_id": "a:latest:2"}),
        ("/api/v1/models/unload", {"instance_id": "b:7b"}),
    ],
    "llama.cpp's router": [
        ("/models/unload", {"model": "a:latest"}),
        ("/models/unload", {"model": "b:7b"}),
    ],
    "vLLM": [("/sleep?level=1", None)],
}
OFFERED = ("a:latest", "b:7b", "c")


def posted(engine):
    return [(path, body) for method, path, body in engine.asked if method == "POST"]


@pytest.mark.parametrize("name", SERVERS)
async def test_each_server_is_known_by_its_answers_and_frees_what_is_offered_here(engine, name):
    server = Server(name)
    engine.table.update(server.table)
    lender = await lender_of(engine.client)
    assert lender.name == name
    assert posted(engine) == []
    await lender.free(engine.client, OFFERED)
    assert posted(engine) == ORDERS[name]
    if name == "vLLM":
        assert server.is_asleep
    else:
        assert [each for each in server.loaded if each in {"a:latest", "b:7b"}] == []
        assert "own:1b" in server.loaded
    last_order = max(at for at, (method, _, _) in enumerate(engine.asked) if method == "POST")
    assert [method for method, _, _ in engine.asked[last_order + 1 :]] == ["GET", "GET"]


async def test_a_server_that_knows_none_of_the_routes_lends_nothing(engine):
    assert await lender_of(engine.client) is None


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/api/ps", (200, {"models": "none"})),
        ("/api/v1/models", (200, {"models": [{"key": "a"}]})),
        ("/models", (200, {"object": "list", "data": [{"id": "m", "object": "model"}]})),
        ("/is_sleeping", (200, {"is_sleeping": "no"})),
    ],
)
async def test_a_route_of_the_same_name_is_not_enough(engine, path, answer):
    engine.table[path] = answer
    assert await lender_of(engine.client) is None


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("status", [400, 401, 404, 500])
async def test_an_order_that_is_refused_is_told(engine, name, status):
    engine.table.update(Server(name).table)
    lender = await lender_of(engine.client)
    for path, _ in ORDERS[name]:
        engine.table[path] = (status, {"error": "no"})
    with pytest.raises(EngineError, match=f"answered {status}"):
        await lender.free(engine.client, OFFERED)


@pytest.mark.parametrize("lender", [Ollama(), LmStudio(), LlamaRouter()])
async def test_what_loads_by_itself_needs_no_order_to_serve_again(engine, lender):
    await lender.restore(engine.client)
    assert engine.asked == []


async def test_a_vllm_is_woken_only_where_it_sleeps(engine):
    engine.table.update(Server("vLLM").table)
    await VllmAsleep().restore(engine.client)
    assert posted(engine) == []
    engine.table["/is_sleeping"] = (200, {"is_sleeping": True})
    await VllmAsleep().restore(engine.client)
    assert posted(engine) == [("/wake_up", None)]


async def test_whoever_is_in_a_hurry_can_break_an_order_off(serve, answer):

    asked = asyncio.Event()

    async def script(request, writer):
        if request.line.startswith("GET"):
            writer.write(answer(b'{"models": [{"model": "a:latest"}]}'))
        else:
            asked.set()
            await asyncio.Event().wait()

    server = await serve(script)
    client = EngineClient(EngineAddress.parse(server.url))
    freeing = asyncio.ensure_future(Ollama().free(client, OFFERED))
    await asyncio.wait_for(asked.wait(), 60)
    freeing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await freeing
    await client.close()
