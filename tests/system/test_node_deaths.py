"""Processes killed without a word, nodes copied and revoked: what clients see, what remains."""

from __future__ import annotations

import asyncio
import json
import shutil
import time

import psutil
import pytest

REVOKED_SECONDS = 1.0
ENDLESS = {"2": -100}
"""For SmolLM2's end of a turn (`<|im_end|>`)."""
SLOW_SECONDS = 60.0
"""Within which any machine has done what it is waited for."""
GRACE_SECONDS = 15.0
"""For so long the console waits for a node that was cut off."""


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


async def in_mid_answer(deployment, helper):
    """A long answer of a real engine, of which the client has read some."""
    answer = helper("deployment").Answer()
    # Nothing that ends it early: the end-of-text token is forbidden.
    asked = deployment.chat("Tell a long story.", max_tokens=1000, logit_bias=ENDLESS, into=answer)
    running = asyncio.create_task(asked)

    async def has_begun():
        return answer.has_text

    await deployment.until(has_begun)
    return running


@pytest.mark.slow
async def test_requests_that_wait_for_their_first_token_move_to_the_other_node(deployment):
    (one, engine_one), (_, engine_two) = await two_nodes(deployment)
    for engine in (engine_one, engine_two):
        await deployment.hold(engine)
    waiting = [asyncio.create_task(deployment.chat(f"q {n}", max_tokens=5)) for n in range(20)]

    async def at_both():
        flying = [node["in_flight"] for node in await deployment.nodes()]
        return sum(flying) == 20 and min(flying) > 0 and flying

    assert max(await deployment.until(at_both)) <= 11  # least busy: about half each
    one.kill()
    await deployment.let_go(engine_two)
    answers = await asyncio.gather(*waiting)
    assert [answer.is_complete for answer in answers] == [True] * 20
    rows = await ledger_adds_up(deployment)
    assert sum(row["outcome"] == "complete" for row in rows) == 20


@pytest.mark.slow
async def test_a_node_killed_in_mid_answer_ends_in_one_error_event_and_never_a_torn_one(
    deployment, helper
):
    (one, engine_one), (_, engine_two) = await two_nodes(deployment)
    for engine in (engine_one, engine_two):
        await deployment.hold(engine, 20)
    seen = [helper("deployment").Answer() for _ in range(10)]
    running = [
        asyncio.create_task(deployment.chat(f"q {n}", max_tokens=40, into=answer))
        for n, answer in enumerate(seen)
    ]

    async def flowing():
        return all(answer.has_text for answer in seen)

    await deployment.until(flowing)
    one.kill()
    killed_at = time.monotonic()
    await deployment.let_go(engine_two)
    answers = await asyncio.gather(*running)
    broken = [answer for answer in answers if not answer.is_complete]
    assert 3 <= len(broken) <= 7
    for answer in broken:
        assert answer.broken is None
        assert len(answer.errors) == 1
        assert answer.errors[0]["code"] == "upstream_lost"
        assert answer.data[-1] != "[DONE]"
    assert time.monotonic() - killed_at < GRACE_SECONDS + SLOW_SECONDS
    await ledger_adds_up(deployment)


@pytest.mark.slow
async def test_a_killed_node_leaves_no_engine_behind_and_comes_back_with_its_ledger(
    deployment, helper, is_alive
):
    await deployment.start_console()
    node = await deployment.start_node("node")
    pids = [child.pid for child in node.children()]
    assert pids
    running = await in_mid_answer(deployment, helper)
    node.kill()

    async def gone():
        return not any(is_alive(pid) for pid in pids)

    await deployment.until(gone)
    await deployment.run_node("node")
    answer = await running
    assert answer.is_complete or (len(answer.errors) == 1 and answer.broken is None)
    again = await deployment.chat("What is the capital of France?", max_tokens=20)
    assert again.is_complete
    await ledger_adds_up(deployment)


async def test_a_killed_engine_is_an_error_event_and_is_started_again(deployment, helper, is_alive):
    await deployment.start_console()
    node = await deployment.start_node("node")
    pid = node.ready["engine"]["pid"]
    running = await in_mid_answer(deployment, helper)
    psutil.Process(pid).kill()
    answer = await running
    assert answer.broken is None
    assert [error["code"] for error in answer.errors] == ["engine_error"]

    # A dying process closes its sockets before it becomes a zombie.
    async def gone():
        return not is_alive(pid)

    await deployment.until(gone)

    async def serves_again():
        return (await deployment.chat("Say hello.", max_tokens=5)).is_complete

    await deployment.until(serves_again)
    await ledger_adds_up(deployment)


@pytest.mark.slow
async def test_a_copied_state_folder_replaces_the_first_process_once_and_for_good(deployment):
    await deployment.start_console()
    engine = await deployment.start_fake_engine()
    first = await deployment.start_node("first", "--engine", engine.ready["url"])
    shutil.copytree(deployment.folder / "first", deployment.folder / "second")
    second = await deployment.run_node("second", "--engine", engine.ready["url"])
    assert await first.wait(SLOW_SECONDS) == 78
    assert "replaced" in first.log.read_text() or "another process" in first.log.read_text()
    answer = await deployment.chat("who is there", max_tokens=5)
    assert answer.is_complete
    with pytest.raises(TimeoutError):
        await second.wait(3)
    (node,) = await deployment.nodes()
    assert node["state"] == "online"


@pytest.mark.slow
async def test_a_revoked_node_is_closed_within_a_second_in_mid_answer(deployment, helper):
    await deployment.start_console()
    engine = await deployment.start_fake_engine("engine")
    await deployment.hold(engine, 10)
    names = iter(("one", "two", "three", "four"))

    async def revoke_the_only_one():
        name = next(names)
        node = await deployment.start_node(name, "--engine", engine.ready["url"])
        answer = helper("deployment").Answer()
        running = asyncio.create_task(deployment.chat("long", max_tokens=500, into=answer))

        async def flowing():
            return answer.has_text

        await deployment.until(flowing)
        revoked_at = time.monotonic()
        await deployment.admin("POST", f"/api/nodes/{node.ready['node_id']}/revoke")
        await running
        took = time.monotonic() - revoked_at
        assert len(answer.errors) == 1
        assert await node.wait(SLOW_SECONDS) == 78
        assert "revoked" in node.log.read_text()
        return took

    await helper("promise").kept(REVOKED_SECONDS, revoke_the_only_one)
    refused = await deployment.chat("nobody home", model="stand-in", max_tokens=5)
    assert refused.status in {404, 503}


async def test_a_node_told_to_stop_finishes_its_answers_and_leaves_with_0(deployment):
    await deployment.start_console()
    engine = await deployment.start_fake_engine()
    await deployment.hold(engine, 50)
    node = await deployment.start_node("node", "--engine", engine.ready["url"])
    running = [asyncio.create_task(deployment.chat(f"q {n}", max_tokens=100)) for n in range(4)]

    async def flowing():
        return (await deployment.engine_stats(engine))["running"] == 4

    await deployment.until(flowing)
    node.process.terminate()

    async def leaves():
        return not any(one["is_serving"] for one in await deployment.nodes())

    await deployment.until(leaves)
    await deployment.let_go(engine)
    answers = await asyncio.gather(*running)
    assert all(answer.is_complete for answer in answers)
    assert await node.wait(SLOW_SECONDS) == 0
    rows = await deployment.rows()
    assert all(row["claimed"] for row in rows)
    assert len(rows) == 4


@pytest.mark.slow
async def test_a_console_told_to_stop_lets_its_answers_end(deployment):
    await deployment.start_console()
    engine = await deployment.start_fake_engine()
    await deployment.hold(engine, 50)
    await deployment.start_node("node", "--engine", engine.ready["url"])
    running = [asyncio.create_task(deployment.chat(f"q {n}", max_tokens=100)) for n in range(4)]

    async def flowing():
        return (await deployment.engine_stats(engine))["running"] == 4

    await deployment.until(flowing)
    deployment.console.process.terminate()

    async def refuses():
        answer = await deployment.chat("one more", model="stand-in", max_tokens=1)
        return answer.broken or answer.status == 503

    await deployment.until(refuses)
    await deployment.let_go(engine)
    answers = await asyncio.gather(*running)
    assert all(answer.is_complete for answer in answers)
    assert await deployment.console.wait(SLOW_SECONDS) == 0


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
