"""The owner takes the machine back while others use it, and gives it again."""

from __future__ import annotations

import asyncio
from collections import Counter

import psutil
import pytest

from byoi_agent.control.client import ControlClient

PROMISE_SECONDS = 2.0
ENDLESS = {"2": -100}
"""The end of a turn (`<|im_end|>`) is forbidden to SmolLM2: its answers have all their tokens."""


async def state_of(client):
    return await asyncio.to_thread(client.status)


async def pause(client, *, finish=False):
    await asyncio.to_thread(lambda: client.pause(None, finish=finish))


async def gone(is_alive, pid):
    while is_alive(pid):
        await asyncio.sleep(0.005)


@pytest.mark.slow
async def test_under_load_the_memory_is_back_in_time_and_every_attempt_has_one_row(
    deployment, helper, is_alive
):
    """Two nodes; what has not begun at the one that is taken back ends at the other."""
    await deployment.start_console()
    first = await deployment.start_node("first", "--slots", "2")
    await deployment.start_node("second", "--slots", "2")
    client = ControlClient(socket_path=first.ready["control_socket"])
    answers, tries = [], []

    async def all_are_busy():
        return all(one["in_flight"] >= 2 for one in await deployment.nodes())

    async def serving():
        now = await state_of(client)
        return now.is_serving and now.engine.pid

    async def take_back():
        await asyncio.to_thread(client.resume)
        pid = await deployment.until(serving)
        is_back = asyncio.Event()

        async def asks():
            """Again and again: a first round may have ended before both nodes had a part of it."""
            while not is_back.is_set():
                answers.append(
                    await deployment.chat("Tell a story.", max_tokens=80, logit_bias=ENDLESS)
                )

        async with asyncio.TaskGroup() as crowd:
            for _ in range(8):
                crowd.create_task(asks())
            await deployment.until(all_are_busy)
            await pause(client)
            is_back.set()
            await gone(is_alive, pid)
        reclaims = (await state_of(client)).availability.reclaims
        tries.append(reclaims)
        assert reclaims.count == len(tries)
        return reclaims.last_seconds

    await helper("promise").kept(PROMISE_SECONDS, take_back)
    assert all(answer.status == 200 for answer in answers)
    cut = [answer for answer in answers if not answer.is_complete]
    assert len(cut) <= 2 * len(tries)  # only what had begun there
    assert all(answer.errors[0]["code"] == "node_reclaimed" for answer in cut)

    async def booked():
        rows = await deployment.rows()
        return sum(row["outcome"] == "complete" for row in rows) >= len(answers) - len(cut)

    await deployment.until(booked)
    rows = await deployment.rows()
    attempts = Counter((row["request_id"], row["attempt"]) for row in rows)
    assert set(attempts.values()) == {1}
    outcomes = Counter(row["outcome"] for row in rows)
    assert outcomes["complete"] == len(answers) - len(cut)

    async def adds_up():
        """What was cut off is told in its own time: a row may come between the two looks."""
        rows = await deployment.rows()
        totals = await deployment.totals()
        return totals["completion_tokens"] == sum(row["completion_tokens"] for row in rows)

    await deployment.until(adds_up)


@pytest.mark.slow
async def test_pausing_and_resuming_quickly_leaves_nothing_behind(deployment):
    """While it loads, while it ends, at once after one another."""
    await deployment.start_console()
    node = await deployment.start_node("node")
    client = ControlClient(socket_path=node.ready["control_socket"])
    await deployment.chat("Hello", max_tokens=1)
    process = psutil.Process(node.pid)
    before = process.num_fds(), len(process.children(recursive=True)), process.num_threads()
    for number in range(20):
        await pause(client, finish=number % 5 == 4)
        await asyncio.sleep(0.05 * (number % 4))
        await asyncio.to_thread(client.resume)
        await asyncio.sleep(0.07 * (number % 3))

    async def answers():
        """The last of twenty changes reaches the console after the owner's command has ended."""
        return (await deployment.chat("Hello", max_tokens=5)).is_complete

    await deployment.until(answers)

    async def as_before():
        now = process.num_fds(), len(process.children(recursive=True)), process.num_threads()
        return now[0] <= before[0] + 2 and now[1] <= before[1] and now[2] <= before[2] + 4

    await deployment.until(as_before)
    await pause(client)

    async def all_gone():
        return not process.children(recursive=True)

    await deployment.until(all_gone)

    async def is_away():
        return not any(one["is_serving"] for one in await deployment.nodes())

    await deployment.until(is_away)
    assert (await deployment.chat("Hello", max_tokens=5)).status == 503
    assert await node.stop() == 0
