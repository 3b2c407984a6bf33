"""What clients were told, what the node recorded and what the ledger holds are one number."""

from __future__ import annotations

import asyncio
import json
import re

import pytest

SLOW_SECONDS = 60.0
FIELDS = ("prompt_tokens", "completion_tokens", "total_tokens")


async def settled(deployment, rows):
    """The ledger once every row has the node's claim as well."""

    async def complete():
        found = await deployment.rows()
        return len(found) >= rows and all(row["claimed"] for row in found) and found

    return await deployment.until(complete)


SLOWER_FAULTS = ("error_event", "truncated", "short", "reset")


async def test_clients_node_and_ledger_agree_to_the_token(deployment):
    await deployment.start_console()
    engine = await deployment.start_fake_engine()
    await deployment.start_node("node", "--engine", engine.ready["url"])
    sums = dict.fromkeys(FIELDS, 0)

    async def one(number):
        asks = number % 2 == 0
        options = {"stream_options": {"include_usage": True}} if number % 3 else {}
        answer = await deployment.chat(
            f"question number {number} " * (number + 1),
            stream=asks,
            max_tokens=3 + number,
            **(options if asks else {}),
        )
        assert answer.status == 200, answer.body
        if not asks:
            return answer.json["usage"]
        assert answer.is_complete
        return answer.usage

    answers = await asyncio.gather(*(one(number) for number in range(24)))
    embedded = await deployment.post(
        "/v1/embeddings", {"model": await deployment.model(), "input": "three small words"}
    )
    answers.append({"completion_tokens": 0, **embedded.json["usage"]})
    rows = await settled(deployment, 25)
    told = [usage for usage in answers if usage is not None]
    for field in FIELDS:
        sums[field] = sum(usage[field] for usage in told)
    assert len(told) < len(rows) == 25  # some streams did not ask for usage, and got none
    for row in rows:
        assert row["outcome"] == "complete"
        assert not row["has_difference"]
    asked_nothing = [n for n in range(0, 24, 2) if n % 3 == 0]
    sums["completion_tokens"] += sum(3 + n for n in asked_nothing)
    sums["prompt_tokens"] += sum(3 * (n + 1) for n in asked_nothing)
    sums["total_tokens"] = sums["prompt_tokens"] + sums["completion_tokens"]
    totals = await deployment.totals()
    node = json.loads(
        await deployment.program(
            "byoi", "usage", "--json", "--data-dir", deployment.folder / "node"
        )
    )["totals"]
    for field in FIELDS:
        assert totals[field] == node[field] == sums[field], field
    assert totals["requests"] == node["requests"] == 25


@pytest.mark.slow
async def test_records_survive_a_console_that_dies_before_it_acknowledged(deployment):
    await deployment.start_console()
    engine = await deployment.start_fake_engine()
    await deployment.hold(engine, 10)
    await deployment.start_node("node", "--engine", engine.ready["url"], "--slots", "16")
    running = [asyncio.create_task(deployment.chat(f"q {n}", max_tokens=20 + n)) for n in range(10)]

    async def under_way():
        return (await deployment.engine_stats(engine))["running"] == 10

    await deployment.until(under_way)
    deployment.console.kill()
    await deployment.console.wait(SLOW_SECONDS)
    await deployment.let_go(engine)
    answers = await asyncio.gather(*running)
    assert all(a.broken for a in answers)  # only a gateway's death may break the transport
    await deployment.start_console()

    async def node_is_back():
        return any(node["state"] == "online" for node in await deployment.nodes())

    await deployment.until(node_is_back)
    rows = await settled(deployment, 10)
    assert len(rows) == 10
    assert len({(row["request_id"], row["attempt"]) for row in rows}) == 10
    again = await deployment.chat("and on we go", max_tokens=4)
    assert again.is_complete


@pytest.mark.parametrize(
    "fault",
    ["die", *(pytest.param(fault, marks=pytest.mark.slow) for fault in SLOWER_FAULTS)],
)
async def test_an_engine_that_fails_in_mid_answer_is_an_error_to_the_client_and_a_row(
    deployment, helper, fault
):
    await deployment.start_console()
    engine = await deployment.start_fake_engine()
    await deployment.start_node("node", "--engine", engine.ready["url"])
    await deployment.hold(engine, 3)
    answer = helper("deployment").Answer()
    async with asyncio.TaskGroup() as tasks:
        prompt = f"[[fault={fault} after=3]]"
        tasks.create_task(deployment.chat(prompt, max_tokens=10, into=answer))

        async def has_three():
            """Before it fails: what a node is still to send then is given up with the rest."""
            return len(re.findall(rb'"content": ?"[^"]', answer.body)) == 3

        await deployment.until(has_three)
        await deployment.let_go(engine)
    assert answer.broken is None
    assert not answer.is_complete
    assert len(answer.errors) == 1
    assert answer.data[-1] != "[DONE]"
    rows = await settled(deployment, 1)
    assert rows[0]["outcome"] == "failed"
    assert rows[0]["completion_tokens"] == 3
