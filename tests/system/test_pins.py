"""A node is asked for, dedicated by its owner, and taken back; real processes."""

from __future__ import annotations

import asyncio
import json

import pytest

from byoi_agent.control.client import ControlClient


@pytest.mark.slow
async def test_a_node_is_dedicated_by_its_owner_and_taken_back_at_once(deployment):
    await deployment.start_console()
    engine = await deployment.start_fake_engine()
    node = await deployment.start_node("node", "--engine", engine.ready["url"])
    client = ControlClient(socket_path=node.ready["control_socket"])
    state = deployment.folder / "node"

    async def stands():
        (shown,) = await deployment.nodes()
        return shown["pin"] and shown["pin"]["state"]

    async def becomes(wanted):
        async def so():
            return await stands() == wanted

        await deployment.until(so)

    (known,) = await deployment.nodes()
    asked = await deployment.admin("POST", f"/api/nodes/{known['id']}/pin", {"reason": "nights"})
    assert asked["delivered"]

    async def heard():
        return (await asyncio.to_thread(client.pins)).pins

    (pin,) = await deployment.until(heard)
    assert (pin.state, pin.reason) == ("asked", "nights")
    told = await deployment.program("byoi", "pins", "consent", "--data-dir", state, "--json")
    (granted,) = json.loads(told)["pins"]
    assert granted["state"] == "granted"
    await becomes("granted")
    assert (await deployment.chat("Hello")).is_complete
    (shown,) = await deployment.nodes()
    assert shown["pin"]["answered_by"] == granted["actor"]
    running = asyncio.create_task(deployment.chat("A longer one, please.", max_tokens=50))
    (back,) = (await asyncio.to_thread(client.answer_pin, pin.id, "withdraw")).pins
    assert back.state == "withdrawn"
    assert (await running).is_complete  # what runs ends as it would
    await becomes("withdrawn")
    assert (await deployment.chat("Hello")).is_complete
