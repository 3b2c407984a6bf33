"""The owner takes the engine's memory back and gives it again; what clients see meanwhile."""

from __future__ import annotations

import asyncio
import time

import psutil
import pytest

from byoi_agent.control.client import ControlClient

SLOW_SECONDS = 90.0
"""Within which any machine has done what it is waited for."""


async def becomes(deployment, client, state, seconds=SLOW_SECONDS):
    async def so():
        engine = (await asyncio.to_thread(client.status)).engine
        return engine is not None and engine.state == state and engine

    return await deployment.until(so, seconds)


@pytest.mark.slow
async def test_an_engine_that_sleeps_serves_nobody_and_is_back_when_woken(deployment, is_alive):
    await deployment.start_console()
    node = await deployment.start_node("node")
    client = ControlClient(socket_path=node.ready["control_socket"])
    pid = node.ready["engine"]["pid"]
    process = psutil.Process(pid)
    process.suspend()  # else the answer may be over before anybody has looked
    running = asyncio.create_task(deployment.chat("Tell a story.", max_tokens=100))

    async def with_the_engine():
        """By the node's own count: the console's begins when it has sent the request."""
        return (await asyncio.to_thread(client.status)).running == 1

    await deployment.until(with_the_engine)
    await asyncio.to_thread(client.sleep, SLOW_SECONDS)
    process.resume()
    assert (await running).is_complete
    await becomes(deployment, client, "asleep")
    assert not is_alive(pid)  # llama.cpp cannot sleep: its memory is given back by its end

    async def withdrawn():
        return not (await deployment.nodes())[0]["models"]

    await deployment.until(withdrawn)
    asked_at = time.monotonic()
    asked = (deployment.chat("Are you there?", stream=each, max_tokens=5) for each in (True, False))
    for answer in await asyncio.gather(*asked):
        assert answer.status == 503
        assert answer.json["error"]["code"] == "no_node_available"
    assert time.monotonic() - asked_at < SLOW_SECONDS
    await asyncio.to_thread(client.wake)
    engine = await becomes(deployment, client, "ready")
    assert engine.models
    assert (await deployment.chat("Hello", max_tokens=5)).is_complete
