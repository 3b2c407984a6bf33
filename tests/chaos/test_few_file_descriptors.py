"""A console that runs out of file descriptors: refuses cleanly, keeps what it has, recovers."""

from __future__ import annotations

import asyncio
import resource
import sys

import psutil
import pytest

DESCRIPTORS = 128
IDLE_SECONDS = 3.0
CLIENTS = 300

pytestmark = pytest.mark.skipif(
    not hasattr(resource, "prlimit"), reason=f"only on Linux, not {sys.platform}"
)


async def test_a_console_without_descriptors_keeps_its_streams_and_recovers(deployment, books):
    console = await deployment.start_console()
    engine = await deployment.start_fake_engine()
    await deployment.hold(engine, 100)
    await deployment.start_node("node", "--engine", engine.ready["url"])
    await deployment.model()
    resource.prlimit(console.pid, resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
    running = [asyncio.create_task(deployment.chat(f"q {n}", max_tokens=250)) for n in range(4)]

    async def under_way():
        return (await deployment.engine_stats(engine))["running"] == 4

    await deployment.until(under_way)
    seen = psutil.Process(console.pid)
    crowd = [
        await asyncio.open_connection("127.0.0.1", deployment.console_port) for _ in range(CLIENTS)
    ]

    async def exhausted():
        return seen.num_fds() >= DESCRIPTORS - 8

    await deployment.until(exhausted)
    before = sum(seen.cpu_times()[:2])
    await asyncio.sleep(IDLE_SECONDS)  # the answers stand still: there is nothing to do
    used = sum(seen.cpu_times()[:2]) - before
    assert used < IDLE_SECONDS / 3, f"it spins: {used} s of CPU"
    await deployment.let_go(engine)
    answers = await asyncio.gather(*running)
    assert all(answer.is_complete for answer in answers)
    for _, writer in crowd:
        writer.close()

    async def serves():
        answer = await deployment.chat("is there room again", max_tokens=5)
        assert answer.status in {0, 200, 503}, answer
        return answer.is_complete

    await deployment.until(serves)
    assert console.process.returncode is None
    rows = await books.settled()
    assert sum(row["outcome"] == "complete" for row in rows) == 5
    assert all(row["claimed"] for row in rows)
