"""Processes killed without a word, nodes copied and revoked: what clients see, what remains."""

from __future__ import annotations

import asyncio
import json
import shutil
import time

import psutil
import pytest


async def two_nodes(deployment, *flags):
    """A console with two nodes on one stand-in engine each."""
    await deployment.start_console()
    found = []
    for name in ("one", "two"):
        engine = await deployment.start_fake_engine(f"engine-{name}", *flags)
        node = await deployment.start_node(name, "--engine", engine.ready["url"])
        found.append((node, engine))
    return found


async def ledger_adds_up(deployment):
    """One row per attempt, and the sums are the rows'."""

    async def quiet():
        return sum(node["in_flight"] for node in await deployment.nodes()) == 0

    await deployment.until(quiet)

    async def sums_agree():  # a claim that comes between the two questions is no fault
        rows, totals = await deployment.rows(), await deployment.totals()
        fields = ("prompt_tokens", "completion_tokens")
        agree = all(totals[field] == sum(row[field] for row in rows) for field in fields)
        return agree and totals["requests"] == len(rows) and rows

    rows = await deployment.until(sums_agree)
    assert len({(row["request_id"], row["attempt"]) for row in rows}) == len(rows)
    return rows


@pytest.mark.slow
async def test_requests_that_wait_for_their_first_token_move_to_the_other_node(deployment):
    (one, engine_one), (_, engine_two) = await two_nodes(deployment)
    for engine in (engine_one, engine_two):
        await deployment.engine_control(engine, first_token_seconds=3)
    waiting = [asyncio.create_task(deployment.chat(f"q {n}", max_tokens=5)) for n in range(20)]

    async def at_both():
        flying = [node["in_flight"] for node in await deployment.nodes()]
        return sum(flying) == 20 and min(flying) > 0 and flying

    assert max(await deployment.until(at_both)) <= 11  # least busy: about half each
    one.kill()
    answers = await asyncio.gather(*waiting)
    assert [answer.is_complete for answer in answers] == [True] * 20
    rows = await ledger_adds_up(deployment)
    assert sum(row["outcome"] == "complete" for row in rows) == 20


@pytest.mark.slow
async def test_a_node_killed_in_mid_answer_ends_in_one_error_event_and_never_a_torn_one(deployment):
    (one, _), _ = await two_nodes(deployment, "--rate", "50")
    running = [asyncio.create_task(deployment.chat(f"q {n}", max_tokens=300)) for n in range(10)]

    async def flowing():
        return sum(node["in_flight"] for node in await deployment.nodes()) == 10

    await deployment.until(flowing)
    await asyncio.sleep(1)
    one.kill()
    killed_at = time.monotonic()
    answers = await asyncio.gather(*running)
    broken = [answer for answer in answers if not answer.is_complete]
    assert 3 <= len(broken) <= 7
    for answer in broken:
        assert answer.broken is None
        assert len(answer.errors) == 1
        assert answer.errors[0]["code"] == "upstream_lost"
        assert answer.data[-1] != "[DONE]"
    assert time.monotonic() - killed_at < 15 + 1 + 5
    await ledger_adds_up(deployment)


@pytest.mark.slow
async def test_a_killed_node_leaves_no_engine_behind_and_comes_back_with_its_ledger(
    deployment, is_alive
):
    await deployment.start_console()
    node = await deployment.start_node("node")
    pids = [child.pid for child in node.children()]
    assert pids
    running = asyncio.create_task(deployment.chat("Tell a long story.", max_tokens=400))
    await asyncio.sleep(1.5)
    node.kill()

    async def gone():
        return not any(is_alive(pid) for pid in pids)

    await deployment.until(gone, 10)
    await deployment.run_node("node")
    answer = await running
    assert answer.is_complete or (len(answer.errors) == 1 and answer.broken is None)
    again = await deployment.chat("What is the capital of France?", max_tokens=20)
    assert again.is_complete
    await ledger_adds_up(deployment)


async def test_a_killed_engine_is_an_error_event_and_is_started_again(deployment, is_alive):
    await deployment.start_console()
    node = await deployment.start_node("node")
    pid = node.ready["engine"]["pid"]
    running = asyncio.create_task(deployment.chat("Tell a long story.", max_tokens=1000))
    await asyncio.sleep(1.5)
    psutil.Process(pid).kill()
    answer = await running
    assert answer.broken is None
    assert [error["code"] for error in answer.errors] == ["engine_error"]

    # A dying process closes its sockets before it becomes a zombie.
    async def gone():
        return not is_alive(pid)

    await deployment.until(gone, 10)

    async def serves_again():
        return (await deployment.chat("Say hello.", max_tokens=5)).is_complete

    await deployment.until(serves_again, 30)
    await ledger_adds_up(deployment)


@pytest.mark.slow
async def test_a_copied_state_folder_replaces_the_first_process_once_and_for_good(deployment):
    await deployment.start_console()
    engine = await deployment.start_fake_engine()
    first = await deployment.start_node("first", "--engine", engine.ready["url"])
    shutil.copytree(deployment.folder / "first", deployment.folder / "second")
    second = await deployment.run_node("second", "--engine", engine.ready["url"])
    assert await first.wait(15) == 78
    assert "replaced" in first.log.read_text() or "another process" in first.log.read_text()
    answer = await deployment.chat("who is there", max_tokens=5)
    assert answer.is_complete
    with pytest.raises(TimeoutError):
        await second.wait(3)
    (node,) = await deployment.nodes()
    assert node["state"] == "online"


@pytest.mark.slow
async def test_a_revoked_node_is_closed_within_a_second_in_mid_answer(deployment):
    await deployment.start_console()
    engine = await deployment.start_fake_engine("engine", "--rate", "20")
    node = await deployment.start_node("node", "--engine", engine.ready["url"])
    running = asyncio.create_task(deployment.chat("long", max_tokens=500))

    async def flowing():
        return (await deployment.engine_stats(engine))["running"] == 1

    await deployment.until(flowing)
    await asyncio.sleep(0.5)
    (listed,) = await deployment.nodes()
    revoked_at = time.monotonic()
    await deployment.admin("POST", f"/api/nodes/{listed['id']}/revoke")
    answer = await running
    assert time.monotonic() - revoked_at < 1.0
    assert len(answer.errors) == 1
    assert await node.wait(10) == 78
    assert "revoked" in node.log.read_text()
    refused = await deployment.chat("nobody home", model="stand-in", max_tokens=5)
    assert refused.status in {404, 503}


async def test_a_node_told_to_stop_finishes_its_answers_and_leaves_with_0(deployment):
    await deployment.start_console()
    engine = await deployment.start_fake_engine("engine", "--rate", "50")
    node = await deployment.start_node("node", "--engine", engine.ready["url"])
    running = [asyncio.create_task(deployment.chat(f"q {n}", max_tokens=100)) for n in range(4)]

    async def flowing():
        return (await deployment.engine_stats(engine))["running"] == 4

    await deployment.until(flowing)
    node.process.terminate()
    answers = await asyncio.gather(*running)
    assert all(answer.is_complete for answer in answers)
    assert await node.wait(15) == 0
    rows = await deployment.rows()
    assert all(row["claimed"] for row in rows)
    assert len(rows) == 4


@pytest.mark.slow
async def test_a_console_told_to_stop_lets_its_answers_end(deployment):
    await deployment.start_console()
    engine = await deployment.start_fake_engine("engine", "--rate", "50")
    await deployment.start_node("node", "--engine", engine.ready["url"])
    running = [asyncio.create_task(deployment.chat(f"q {n}", max_tokens=100)) for n in range(4)]

    async def flowing():
        return (await deployment.engine_stats(engine))["running"] == 4

    await deployment.until(flowing)
    deployment.console.process.terminate()
    answers = await asyncio.gather(*running)
    assert all(answer.is_complete for answer in answers)
    assert await deployment.console.wait(15) == 0


@pytest.mark.slow
async def test_the_engine_hears_only_the_node(deployment):
    await deployment.start_console()
    node = await deployment.start_node("node")
    url = node.ready["engine"]["url"]
    listening = [
        connection.laddr
        for child in node.children()
        for connection in child.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert url.startswith("unix://")
    assert listening == []
    shown = json.loads(
        await deployment.program(
            "byoi", "status", "--json", "--data-dir", deployment.folder / "node"
        )
    )
    assert shown
