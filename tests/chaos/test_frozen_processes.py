"""Processes that stand still for three seconds, as on a machine that swaps; they all come back."""

from __future__ import annotations

import asyncio
import signal

import pytest

FROZEN_SECONDS = 3.0
STREAMS = 6
TOKENS = 150

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def freeze_under_streams(shared, process):
    """Stop a process while streams run, let it go on, and return what their clients saw."""
    await shared.hold(shared.engine, TOKENS // 3)
    running = [
        asyncio.create_task(
            shared.chat(f"[[tokens_per_second=100]] q {n}", model="stand-in", max_tokens=TOKENS)
        )
        for n in range(STREAMS)
    ]

    async def under_way():
        return (await shared.engine_stats(shared.engine))["running"] == STREAMS

    try:
        await shared.until(under_way)
    finally:
        await shared.let_go(shared.engine)
    process.process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(FROZEN_SECONDS)
    process.process.send_signal(signal.SIGCONT)
    answers = await asyncio.gather(*running)
    assert [answer.is_complete for answer in answers] == [True] * STREAMS
    assert all(len(answer.text.split()) == TOKENS for answer in answers)
    mine = {answer.headers["x-request-id"] for answer in answers}

    async def booked():
        rows = [row for row in await shared.rows() if row["request_id"] in mine]
        return len(rows) == STREAMS and rows

    rows = await shared.until(booked)
    assert all(row["attempt"] == 1 and row["outcome"] == "complete" for row in rows)


async def test_an_engine_that_stands_still_for_three_seconds_loses_no_answer(shared):
    await freeze_under_streams(shared, shared.engine)


async def test_a_node_that_stands_still_for_three_seconds_loses_no_answer(shared):
    (node,) = (process for process in shared.processes if process.name == "node")
    await freeze_under_streams(shared, node)


async def test_a_console_that_stands_still_for_three_seconds_loses_no_answer(shared):
    await freeze_under_streams(shared, shared.console)
