"""P33: usage is reported durably and exactly once, whatever is killed on its way."""

from __future__ import annotations

import asyncio
import json

import pytest

FIELDS = ("prompt_tokens", "completion_tokens", "total_tokens")


@pytest.mark.usefixtures("real")  # so that what has to be downloaded is there
@pytest.mark.slow
async def test_p33_clients_node_and_ledger_agree_although_both_were_killed(deployment):
    await deployment.start_console()
    node = await deployment.start_node("node")

    async def ask(number):
        streams = number % 2 == 0
        options = {"stream_options": {"include_usage": True}} if streams else {}
        answer = await deployment.chat(
            f"Question {number}", stream=streams, max_tokens=4 + number, **options
        )
        assert answer.status == 200
        return answer.usage if streams else answer.json["usage"]

    told = await asyncio.gather(*(ask(number) for number in range(4)))
    deployment.console.kill()
    node.kill()
    await asyncio.gather(deployment.console.wait(60), node.wait(60))
    await deployment.start_console()
    await deployment.run_node("node")
    told.append(await ask(4))

    async def settled():
        rows = await deployment.rows()
        return len(rows) == 5 and all(row["claimed"] for row in rows)

    await deployment.until(settled)
    totals = await deployment.totals()
    shown = await deployment.program(
        "byoi", "usage", "--json", "--data-dir", deployment.folder / "node"
    )
    for field in FIELDS:
        used = sum(usage[field] for usage in told)
        assert totals[field] == json.loads(shown)["totals"][field] == used
    assert totals["requests"] == 5
