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


def _ollama_ps(*models):
    return 200, {
        "models": [
            {"name": model, "model": model, "size": 6591830464, "size_vram": 5333539264}
            for model in models
        ]
    }


def _studio(loaded):
    return 200, {
        "models": [
            {
                "type": "llm",
                "key": key,
                "loaded_instances": [{"id": each, "config": {}} for each in instances],
                "format": "gguf",
            }
            for key, instances in loaded.items()
        ]
    }


def _router(states):
    return 200, {
        "data": [
            {"id": model, "in_cache": True, "status": {"value": state}}
            for model, state in states.items()
        ]
    }


UNLOADED = (200, {"model": "a", "response": "", "done": True, "done_reason": "unload"})
SERVERS = {
    "Ollama": {"/api/ps": _ollama_ps("a:latest", "b:7b", "own:1b"), "/api/generate": UNLOADED},
    "LM Studio": {
        "/api/v1/models": _studio(
            {"a:latest": ["a:latest", "a:latest:2"], "b:7b": [], "own": ["x"]}
        ),
        "/api/v1/models/unload": (200, {"instance_id": "a"}),
    },
    "llama.cpp's router": {
        "/models": _router(
            {"a:latest": "loaded", "b:7b": "sleeping", "c": "unloaded", "o": "loaded"}
        ),
        "/models/unload": (200, {"success": True}),
    },
    "vLLM": {
        "/is_sleeping": (200, {"is_sleeping": False}),
        "/sleep?level=1": (200, b""),
        "/wake_up": (200, b""),
    },
}
ORDERS = {
    "Ollama": [
        ("/api/generate", {"model": "a:latest", "keep_alive": 0, "stream": False}),
        ("/api/generate", {"model": "b:7b", "keep_alive": 0, "stream": False}),
    ],
    "LM Studio": [
        ("/api/v1/models/unload", {"instance_id": "a:latest"}),
        ("/api/v1/models/unload", {"instance_id": "a:latest:2"}),
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
    engine.table.update(SERVERS[name])
    lender = await lender_of(engine.client)
    assert lender.name == name
    assert posted(engine) == []
    await lender.free(engine.client, OFFERED)
    assert posted(engine) == ORDERS[name]


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
    engine.table.update(SERVERS[name])
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
    engine.table.update(SERVERS["vLLM"])
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
    await asyncio.wait_for(asked.wait(), 5)
    freeing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await freeing
    await client.close()
