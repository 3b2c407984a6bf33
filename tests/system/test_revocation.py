"""Revocation under load: exactly the expected requests end in an error, and no other."""

from __future__ import annotations

import asyncio

import pytest

STREAMS = 12
TOKENS = 60
SLOW_SECONDS = 60.0
"""Within which any machine has done what it is waited for."""


@pytest.fixture
async def loaded(deployment, helper):
    """Two nodes, and as many answers under way as fill half of both; gives nodes and answers.

    The answers stand still in their middle until `let_go`.
    """
    await deployment.start_console()
    nodes = {}
    for name in ("one", "two"):
        engine = await deployment.start_fake_engine(f"engine-{name}")
        await deployment.hold(engine, TOKENS // 2)
        flags = ("--engine", engine.ready["url"], "--slots", str(STREAMS))
        nodes[name] = (await deployment.start_node(name, *flags), engine)
    seen = [helper("deployment").Answer() for _ in range(STREAMS)]
    async with asyncio.TaskGroup() as tasks:
        running = [
            tasks.create_task(deployment.chat(f"Question {n}", max_tokens=TOKENS, into=answer))
            for n, answer in enumerate(seen)
        ]

        async def all_flow():
            stats = [await deployment.engine_stats(engine) for _, engine in nodes.values()]
            return [one["running"] for one in stats] == [STREAMS // 2] * 2

        await deployment.until(all_flow)

        async def all_have_text():
            """None can move to another node unseen."""
            return all(answer.has_text for answer in seen)

        await deployment.until(all_have_text)
        yield nodes, running
        await let_go(deployment, nodes)


async def let_go(deployment, nodes):
    for _, engine in nodes.values():
        await deployment.let_go(engine)


async def test_a_revoked_node_costs_the_answers_that_it_was_at_and_no_other(deployment, loaded):
    nodes, running = loaded
    process, _ = nodes["one"]
    node_id = process.ready["node_id"]
    await deployment.admin("POST", f"/api/nodes/{node_id}/revoke")
    later = [await deployment.chat("More", max_tokens=3) for _ in range(6)]
    await let_go(deployment, nodes)
    answers = await asyncio.gather(*running)
    assert all(answer.is_complete for answer in later)
    cut = [answer for answer in answers if not answer.is_complete]
    assert len(cut) == STREAMS // 2
    assert {answer.errors[0]["code"] for answer in cut} == {"upstream_lost"}
    assert [len(answer.errors) for answer in cut] == [1] * len(cut)
    assert await process.wait(SLOW_SECONDS) == 78

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
    nodes, running = loaded
    (key,) = [
        key
        for key in (await deployment.admin("GET", "/api/keys"))["data"]
        if key["scope"] == "inference"
    ]
    await deployment.admin("DELETE", f"/api/keys/{key['id']}")
    refused = [await deployment.chat("More", max_tokens=3) for _ in range(3)]
    assert [answer.status for answer in refused] == [401] * 3
    await let_go(deployment, nodes)
    answers = await asyncio.gather(*running)
    assert [answer.is_complete for answer in answers] == [True] * STREAMS
