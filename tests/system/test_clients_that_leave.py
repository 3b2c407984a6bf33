"""Clients that leave, that read slowly, and that come in thousands."""

from __future__ import annotations

import asyncio
import json
import time

import psutil
import pytest

PROMISED_SECONDS = 1.0


def whole(answer):
    """The events that came whole before the client left."""
    blocks = answer.body.decode().split("\n\n")[:-1]
    return [json.loads(block.removeprefix("data: ")) for block in blocks]


async def test_a_client_that_leaves_stops_the_engine_and_the_row_has_what_was_produced(
    deployment, helper
):
    await deployment.start_console()
    engine = await deployment.start_fake_engine("engine", "--rate", "100")
    await deployment.start_node("node", "--engine", engine.ready["url"])
    seen = []

    async def idle():
        return (await deployment.engine_stats(engine))["running"] == 0

    async def leave():
        answer = await deployment.chat("tell me all", max_tokens=5000, leave_after_bytes=3000)
        left_at = time.monotonic()
        await deployment.until(idle)
        took = time.monotonic() - left_at
        seen.append(
            sum(
                bool(choice["delta"].get("content"))
                for event in whole(answer)
                for choice in event["choices"]
            )
        )
        return took

    await helper("promise").kept(PROMISED_SECONDS, leave)
    assert min(seen) > 5

    async def claimed():
        rows = await deployment.rows()
        return len(rows) == len(seen) and all(row["claimed"] for row in rows) and rows

    rows = await deployment.until(claimed)
    produced = (await deployment.engine_stats(engine))["tokens"]
    assert {(row["outcome"], row["prompt_tokens"]) for row in rows} == {("cancelled", 3)}
    assert sum(seen) <= sum(row["completion_tokens"] for row in rows) <= produced


@pytest.mark.slow
async def test_a_client_that_leaves_before_the_first_token_or_without_a_stream_stops_it_too(
    deployment,
):
    await deployment.start_console()
    engine = await deployment.start_fake_engine()
    await deployment.start_node("node", "--engine", engine.ready["url"])
    await deployment.engine_control(engine, first_token_seconds=600)
    for stream in (True, False):
        waiting = asyncio.create_task(deployment.chat("a b", stream=stream))

        async def running():
            return (await deployment.engine_stats(engine))["running"] == 1

        await deployment.until(running)
        waiting.cancel()

        async def idle():
            return (await deployment.engine_stats(engine))["running"] == 0

        await deployment.until(idle)


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_ten_thousand_cancelled_requests_leave_nothing_behind(deployment):
    await deployment.start_console()
    engine = await deployment.start_fake_engine("engine", "--rate", "200")
    node = await deployment.start_node(
        "node", "--engine", engine.ready["url"], "--slots", "64", "--queue", "64"
    )
    model = await deployment.model()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {deployment.api_key}\r\n"
    )
    body = json.dumps(
        {
            "model": model,
            "stream": True,
            "max_tokens": 500,
            "messages": [{"role": "user", "content": "a"}],
        }
    )
    request = f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()

    async def one(number):
        reader, writer = await asyncio.open_connection("127.0.0.1", deployment.console_port)
        writer.write(request)
        if number % 2:
            await reader.read(1)
        writer.close()
        await writer.wait_closed()

    async def cancel(count):
        width = 50
        for _ in range(count // width):
            await asyncio.gather(*(one(n) for n in range(width)))

        async def settled():
            stats = await deployment.engine_stats(engine)
            flying = sum(n["in_flight"] for n in await deployment.nodes())
            return stats["running"] == 0 and flying == 0

        await deployment.until(settled)

    def measure():
        found = {}
        for name, process in (("console", deployment.console), ("node", node)):
            seen = psutil.Process(process.pid)
            found[name] = (seen.num_fds(), seen.memory_info().rss, seen.num_threads())
        return found

    await cancel(2_000)  # caches, pools and the allocator have their size now
    await asyncio.gather(*(deployment.rows() for _ in range(30)))  # the database's pool as well
    before = measure()
    await cancel(10_000)
    after = measure()
    for name in before:
        assert after[name][0] <= before[name][0] + 5, name
        assert after[name][1] <= before[name][1] * 1.15 + 8 * 2**20, (name, before, after)
        assert after[name][2] <= before[name][2] + 1, name
    answer = await deployment.chat("still well", max_tokens=5)
    assert answer.is_complete


@pytest.mark.slow
async def test_a_slow_reader_costs_neither_memory_nor_its_neighbours(deployment):
    await deployment.start_console()
    engine = await deployment.start_fake_engine("engine", "--rate", "400")
    node = await deployment.start_node(
        "node", "--engine", engine.ready["url"], "--slots", "64", "--queue", "8"
    )
    model = await deployment.model()
    body = json.dumps(
        {
            "model": model,
            "stream": True,
            "max_tokens": 100_000,
            "messages": [{"role": "user", "content": "a"}],
        }
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", deployment.console_port, limit=2048)
    writer.write(
        (
            "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {deployment.api_key}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        ).encode()
    )

    async def slowly():
        while await reader.read(1024):
            await asyncio.sleep(1)

    slow = asyncio.create_task(slowly())
    await deployment.chat("warm up", max_tokens=400)
    before = [psutil.Process(p.pid).memory_info().rss for p in (deployment.console, node)]

    async def eight():
        started = time.monotonic()
        answers = await asyncio.gather(
            *(deployment.chat(f"n {n}", max_tokens=1200) for n in range(8))
        )
        assert all(answer.is_complete for answer in answers)
        assert all(len(answer.text.split()) == 1200 for answer in answers)
        return time.monotonic() - started

    await eight()
    after = [psutil.Process(p.pid).memory_info().rss for p in (deployment.console, node)]
    assert all(b - a < 16 * 2**20 for a, b in zip(before, after, strict=True)), (before, after)
    slow.cancel()
    writer.close()
