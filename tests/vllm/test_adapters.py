"""LoRA adapters on a real vLLM that is loaded on demand: they come and go, and nothing is cut."""

from __future__ import annotations

import asyncio
import json

import pytest
import tomlkit
from tests.fakes.adapters import write_adapter

BASE = "smollm2-135m-instruct"
SMOL = {"layers": 30, "hidden": 576, "values": 192}
"""What SmolLM2 is like."""

CAPITAL = "What is the capital of France?"
LOADING_SECONDS = 600.0
CHANGING_SECONDS = 120.0


class Node:
    """A node with one model, whose adapters its owner changes."""

    def __init__(self, deployment, folder) -> None:
        self.deployment = deployment
        self.folder = folder

    def write(self, **adapters) -> None:
        model = {
            "model": BASE,
            "engine": "vllm",
            "load": "demand",
            "context_tokens": 512,
            "slots": 4,
            "adapters": [{"name": name, "path": str(path)} for name, path in adapters.items()],
        }
        (self.folder / "config.toml").write_text(tomlkit.dumps({"models": [model]}))

    async def byoi(self, *argv) -> str:
        return await self.deployment.program("byoi", *argv, "--data-dir", self.folder)

    async def offered(self) -> dict[str, dict]:
        (node,) = await self.deployment.nodes()
        return {model["id"]: model for model in node["models"]}

    async def ask(self, model, **fields):
        return await self.deployment.chat(CAPITAL, model=model, temperature=0, **fields)


@pytest.fixture
async def node(deployment, installed):
    await deployment.start_console()
    return Node(deployment, await deployment.enrol("gpu"))


async def test_adapters_come_and_go_while_answers_are_under_way(deployment, node, tmp_path):
    pirate = write_adapter(tmp_path / "pirate", **SMOL)
    parrot = write_adapter(tmp_path / "parrot", scale=0.0, **SMOL)
    node.write(pirate=pirate)
    await deployment.run_node("gpu")
    offered = await deployment.until(node.offered)
    assert list(offered) == [BASE, "pirate"]
    assert not any(model["is_loaded"] for model in offered.values())
    assert offered["pirate"]["base"] == BASE

    # It waits for the engine to start, behind comments.
    first = await node.ask("pirate", max_tokens=8)
    assert first.is_complete, first
    assert first.body.startswith(b": keep-alive\n\n"), first.body[:200]
    assert first.usage is None
    offered = await deployment.until(loaded(node), LOADING_SECONDS)
    assert offered[BASE]["load_seconds"] > 1
    base = await node.ask(BASE, max_tokens=12)
    assert "Paris" in base.text
    assert base.text != first.text, "random weights over it answer otherwise"

    # One goes, one comes, and one is broken, while the first is being asked.
    async with asyncio.TaskGroup() as tasks:
        fields = {"ignore_eos": True, "stream_options": {"include_usage": True}}
        long = tasks.create_task(node.ask("pirate", max_tokens=48, **fields))
        await deployment.until(running(node))
        node.write(parrot=parrot, broken=tmp_path / "nowhere")
        before = json.loads(await node.byoi("status", "--json"))
        await node.byoi("reload")
        await deployment.until(lambda: has(node, "parrot"), CHANGING_SECONDS)
    assert long.result().is_complete, long.result()
    assert long.result().usage["completion_tokens"] == 48  # of several it may make one event
    status = json.loads(await node.byoi("status", "--json"))
    assert "the adapter broken is not served" in json.dumps(status["warnings"])
    assert pids(status) == pids(before), "nothing was started anew"
    assert list(await node.offered()) == [BASE, "parrot"]
    parroted = await node.ask("parrot", max_tokens=12)
    assert parroted.text == base.text, "weights of zero change nothing"
    gone = await node.ask("pirate", stream=False)
    assert gone.status in {404, 503}

    async def booked():
        rows = (await deployment.admin("GET", "/api/usage"))["rows"]
        told = {row["model"]: row["requests"] for row in rows}
        return rows if told == {BASE: 1, "pirate": 2, "parrot": 1} else None

    usage = await deployment.until(booked)
    assert {row["outcome"] for row in usage} == {"complete"}


def loaded(node):
    async def look():
        offered = await node.offered()
        return offered if all(model["is_loaded"] for model in offered.values()) else None

    return look


def running(node):
    async def look():
        (shown,) = await node.deployment.nodes()
        return shown["in_flight"] > 0

    return look


async def has(node, model):
    return model in await node.offered()


def pids(status) -> str:
    """Of whatever engines the status tells."""
    text = json.dumps(status)
    return sorted(part.split(",")[0].split("}")[0] for part in text.split('"pid":')[1:])
