"""Revocation under load: exactly the expected requests end in an error, and no other."""

from __future__ import annotations

import asyncio

import pytest

STREAMS = 12
TOKENS = 200
RATE = "40"


@pytest.fixture
async def loaded(deployment):
    """Two nodes, and as many answers under way as fill half of both; gives nodes and answers."""
    await deployment.start_console()
    nodes = {}
    for name in ("one", "two"):
        engine = await deployment.start_fake_engine(f"engine-{name}", "--rate", RATE)
        flags = ("--engine", engine.ready["url"], "--slots", str(STREAMS))
        nodes[name] = (await deployment.start_node(name, *flags), engine)
    async with asyncio.TaskGroup() as tasks:
        running = [
            tasks.create_task(deployment.chat(f"Question {number}", max_tokens=TOKENS))
            for number in range(STREAMS)
        ]

        async def all_flow():
            stats = [await deployment.engine_stats(engine) for _, engine in nodes.values()]
            return [one["running"] for one in stats] == [STREAMS // 2] * 2

        await deployment.until(all_flow)
        # Each has brought text, so that none can move to another node unseen.
        await asyncio.sleep(1.0)
        yield nodes, running


async def test_a_revoked_node_costs_the_answers_that_it_was_at_and_no_other(deployment, loaded):
    nodes, running = loaded
    process, _ = nodes["one"]
    node_id = process.ready["node_id"]
    await deployment.admin("POST", f"/api/nodes/{node_id}/revoke")
    later = [await deployment.chat("More", max_tokens=3) for _ in range(6)]
    answers = await asyncio.gather(*running)
    assert all(answer.is_complete for answer in later)
    cut = [answer for answer in answers if not answer.is_complete]
    assert len(cut) == STREAMS // 2
    assert {answer.errors[0]["code"] for answer in cut} == {"upstream_lost"}
    assert [len(answer.errors) for answer in cut] == [1] * len(cut)
    assert await process.wait(10) == 78

    async def booked():
        rows = await deployment.rows()
        return rows if len(rows) == STREAMS + 6 else None

    rows = await deployment.until(booked)
    lost = [row for row in rows if row["outcome"] != "complete"]
    assert len(lost) == STREAMS // 2
    assert {row["node_id"] for row in lost} == {node_id}
    assert {row["attempt"] for row in rows} == {1}


@pytest.mark.slow
async def test_a_revoked_api_key_is_refused_at_once_and_cuts_no_answer(deployment, loaded):
    _, running = loaded
    (key,) = [
        key
        for key in (await deployment.admin("GET", "/api/keys"))["data"]
        if key["scope"] == "inference"
    ]
    await deployment.admin("DELETE", f"/api/keys/{key['id']}")
    refused = [await deployment.chat("More", max_tokens=3) for _ in range(3)]
    assert [answer.status for answer in refused] == [401] * 3
    answers = await asyncio.gather(*running)
    assert [answer.is_complete for answer in answers] == [True] * STREAMS
