"""The owner pauses, resumes and switches the mode of the only node there is; clients notice."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from pathlib import Path

import pytest
import pytest_asyncio

from byoi_agent.availability.watcher import LOOKS_SECONDS
from byoi_agent.control.client import ControlClient
from byoi_agent.control.instances import read_place

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

AWAY_SECONDS = 1.0
BACK_SECONDS = 2.0
CLOCK_SECONDS = 0.1
"""Between a moment that is kept in whole milliseconds and the one at which a timer goes off."""
SLOW_SECONDS = 60.0
"""Within which any machine has done what it is waited for; a promise is kept in less."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory, helper):
    """A console, a stand-in engine, and the only node."""
    with tempfile.TemporaryDirectory(prefix="byoi-", dir="/tmp") as runtime:
        folder = tmp_path_factory.mktemp("availability")
        async with helper("deployment").Deployment(folder, Path(runtime)) as deployment:
            await deployment.start_console()
            deployment.engine = await deployment.start_fake_engine()
            deployment.node = await deployment.start_node(
                "node", "--engine", deployment.engine.ready["url"]
            )
            assert (await deployment.chat("one two")).is_complete
            yield deployment


@pytest_asyncio.fixture(loop_scope="module")
async def deployment(place):
    """The place with a node that serves, before and after."""
    yield place
    client = client_of(place)
    await asyncio.to_thread(client.resume)
    await asyncio.to_thread(client.choose_mode, None)


def client_of(deployment) -> ControlClient:
    return ControlClient.at(read_place(deployment.folder / "node" / "control.json"))


async def byoi(deployment, *arguments) -> dict:
    """What one of the owner's commands says; the data folder comes from the environment."""
    said = await deployment.program(
        "byoi", *arguments, "--json", BYOI_DATA_DIR=str(deployment.folder / "node")
    )
    return json.loads(said)


async def until_status(deployment, status: int):
    """The first answer of that status, and how long it took to come to that."""
    began = time.monotonic()
    async with asyncio.timeout(SLOW_SECONDS):
        while (answer := await deployment.chat("one two", stream=False)).status != status:
            await asyncio.sleep(0.02)
    return answer, time.monotonic() - began


async def test_a_paused_node_answers_503_within_a_second_and_a_resumed_one_serves_within_two(
    deployment, helper
):
    answers = []

    async def pause():
        await resume()
        held = await byoi(deployment, "pause")
        assert (held["state"], held["is_paused"]) == ("yield", True)
        answer, seconds = await until_status(deployment, 503)
        answers.append(answer)
        return seconds

    async def resume():
        assert (await byoi(deployment, "resume"))["state"] == "serve"
        _, seconds = await until_status(deployment, 200)
        return seconds

    async def pause_and_resume():
        await pause()
        return await resume()

    await helper("promise").kept(AWAY_SECONDS, pause)
    answer = answers[-1]
    error = answer.json["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["type"], error["code"]) == ("server_error", "nodes_away")
    status = await byoi(deployment, "status")
    assert not status["is_serving"]
    assert status["availability"]["code"] == "paused"
    await helper("promise").kept(BACK_SECONDS, pause_and_resume)


async def test_a_pause_for_a_time_ends_by_itself(deployment):
    # Asked before: a command's end may take a slow machine longer than the pause lasts.
    away = asyncio.create_task(until_status(deployment, 503))
    before = time.time()
    held = await byoi(deployment, "pause", "--for", "10s")
    assert before + 10 <= held["paused_until"] <= time.time() + 10
    await away
    await until_status(deployment, 200)
    assert time.time() >= held["paused_until"] - CLOCK_SECONDS
    assert not (await byoi(deployment, "mode"))["is_paused"]


async def test_a_pause_outlives_a_restart_of_the_node_and_one_of_the_console(deployment):
    await byoi(deployment, "pause", "--for", "1h")
    assert await deployment.node.stop() == 0
    deployment.node = await deployment.run_node("node", "--engine", deployment.engine.ready["url"])
    held = await byoi(deployment, "mode")
    assert (held["code"], held["is_paused"]) == ("paused", True)
    assert held["paused_until"] == pytest.approx(time.time() + 3600, abs=60)
    await until_status(deployment, 503)
    await deployment.console.stop()
    await deployment.start_console()

    async def heard():
        (node,) = await deployment.nodes()
        return (
            node.get("is_serving") is False
            and (await byoi(deployment, "status"))["link"]["state"] == "online"
        )

    await deployment.until(heard)
    answer = await deployment.chat("one two", stream=False)
    assert answer.status == 503
    await byoi(deployment, "resume")
    await until_status(deployment, 200)


async def test_two_who_pause_at_once_both_hear_of_a_pause(deployment):
    client = client_of(deployment)
    both = await asyncio.gather(
        asyncio.to_thread(client.pause, 60.0), asyncio.to_thread(client.pause, None)
    )
    assert [held.is_paused for held in both] == [True, True]
    assert (await asyncio.to_thread(client.status)).availability.is_paused
    assert (await asyncio.to_thread(client.resume)).state == "serve"
    await until_status(deployment, 200)


async def test_a_mode_is_switched_while_clients_ask(deployment):
    held = await byoi(deployment, "mode", "scheduled")
    assert held["mode_source"] == "switch"
    async with asyncio.timeout(LOOKS_SECONDS + SLOW_SECONDS):  # a node that has just been started
        while held["code"] == "looking":
            held = await byoi(deployment, "mode")
    assert held["code"] == "outside_window"
    await until_status(deployment, 503)
    assert (await byoi(deployment, "mode", "default"))["state"] == "serve"
    await until_status(deployment, 200)


async def test_programs_point_the_commands_at_a_node_and_the_log_tells_who_it_was(deployment):
    place = read_place(deployment.folder / "node" / "control.json")
    said = await deployment.program(
        "byoi",
        "pause",
        "--json",
        BYOI_CONTROL_URL=place.control_url,
        BYOI_CONTROL_TOKEN=place.control_token,
    )
    assert json.loads(said)["paused_by"] == "token"
    await byoi(deployment, "resume")

    async def is_told():
        log = deployment.node.log.read_text()
        return all(word in log for word in ("paused", "resumed", "availability changed", "uid "))

    await deployment.until(is_told)
