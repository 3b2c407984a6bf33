"""Clocks that are set while requests run: an hour forth and back, on either side of the link."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest

LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
HOUR = 3600
TOKENS = 120
CACHE_SECONDS = 1
"""For so long a process goes on with the clock that it last saw."""

pytestmark = pytest.mark.skipif(
    LIBRARY is None,
    reason="needs libfaketime (Debian's package faketime), to set a process's clock",
)


class Clock:
    """One process's wall clock; its monotonic one runs on."""

    def __init__(self, file):
        self._file = file
        self.set(0)
        self.environment = {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_CACHE_DURATION": str(CACHE_SECONDS),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, seconds):
        draft = self._file.with_suffix(".draft")
        draft.write_text(f"{seconds:+d}")
        draft.replace(self._file)


async def status_of(deployment, name):
    told = await deployment.program(
        "byoi", "status", "--json", "--data-dir", deployment.folder / name
    )
    return json.loads(told)


async def test_clocks_that_jump_an_hour_cost_no_answer_and_no_row(deployment, books):
    true_time = deployment.env
    clocks = {name: Clock(deployment.folder / f"{name}.clock") for name in ("console", "node")}
    engine = await deployment.start_fake_engine()
    deployment.env = true_time | clocks["console"].environment
    await deployment.start_console()
    deployment.env = true_time
    await deployment.enrol("node")
    deployment.env = true_time | clocks["node"].environment
    node = await deployment.run_node("node", "--engine", engine.ready["url"])
    deployment.env = true_time

    async def ride_out(clock, seconds):
        await deployment.hold(engine, TOKENS // 2)
        running = [
            asyncio.create_task(deployment.chat(f"q {n}", max_tokens=TOKENS)) for n in range(3)
        ]

        async def under_way():
            return (await deployment.engine_stats(engine))["running"] == 3

        try:
            await deployment.until(under_way)
        except TimeoutError:
            pytest.fail(f"not under way: {[task.done() and task.result() for task in running]}")
        clock.set(seconds)
        await asyncio.sleep(2 * CACHE_SECONDS)
        await deployment.let_go(engine)
        answers = await asyncio.gather(*running)
        assert all(answer.is_complete for answer in answers)
        assert all(len(answer.text.split()) == TOKENS for answer in answers)

        async def is_online():
            """Whoever sees a clock jump takes its link anew."""
            (listed,) = await deployment.nodes()
            return listed["state"] == "online"

        await deployment.until(is_online)

    for clock in clocks.values():
        for seconds in (HOUR, -HOUR):
            await ride_out(clock, seconds)
    rows = await books.settled()
    assert len(rows) == 3 * 4
    assert all(row["claimed"] and row["attempt"] == 1 for row in rows)
    hours = {round((row["started_at_ms"] / 1000 - time.time()) / HOUR) for row in rows}
    assert hours == {-1, 0, 1}, "the console's clock was not set"
    assert (await status_of(deployment, "node"))["link"]["resumes"] > 0
    assert node.process.returncode is None


async def test_a_node_whose_clock_says_1970_joins_and_serves(deployment, books):
    await deployment.start_console()
    engine = await deployment.start_fake_engine()
    clock = Clock(deployment.folder / "node.clock")
    clock.set(-int(time.time()) + HOUR)
    true_time = deployment.env
    deployment.env = true_time | clock.environment
    await deployment.enrol("node")
    await deployment.run_node("node", "--engine", engine.ready["url"])
    deployment.env = true_time
    answers = [await deployment.chat(f"q {n}", max_tokens=5) for n in range(3)]
    assert all(answer.is_complete for answer in answers)
    rows = await books.settled()
    assert len(rows) == 3
    assert all(row["claimed"] for row in rows)
    assert all(abs(row["started_at_ms"] / 1000 - time.time()) < HOUR for row in rows)
