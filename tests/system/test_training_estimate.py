"""`byoi plan train` asks a real console what its nodes achieve."""

from __future__ import annotations

import json

import pytest

from byoi_agent.bench.kept import Kept
from byoi_wire.ids import ModelId
from byoi_wire.offers import Measured

FLOPS = 22.8e9
ESTIMATE = ("plan", "train", "--params", "135M", "--fleet")


@pytest.mark.slow
async def test_a_fleet_is_reckoned_with_by_what_its_console_heard(deployment):
    await deployment.start_console()
    engine = await deployment.start_fake_engine("engine")
    data = await deployment.enrol("node")
    found = Measured(
        at_ms=1,
        engine="attached stand-in",
        first_token_ms=10,
        decode_tokens_per_second=50,
        knee_concurrency=2,
        knee_tokens_per_second=80,
        flops=FLOPS,
    )
    await deployment.run_node("node", "--engine", engine.ready["url"])

    async def offered():
        (node,) = await deployment.nodes()
        return [model["id"] for model in node["models"]]

    model, *_ = await deployment.until(offered)
    await deployment.processes[-1].stop()
    Kept(data / "measured.json").keep(ModelId(model), found)
    await deployment.run_node("node", "--engine", engine.ready["url"])

    async def is_known():
        (node,) = await deployment.nodes()
        return [one for one in node["models"] if one["measured"]]

    await deployment.until(is_known)
    printed = await deployment.program(
        "byoi", *ESTIMATE, "--data-dir", data, "--json", BYOI_API_KEY=deployment.admin_key
    )
    told = json.loads(printed)
    assert told["flops"] == FLOPS
    assert told["unit"] == "node"
    assert told["measured"]["count"] == 1
    assert told["gpus"] == pytest.approx(8 * 0.45 * 135e6**2 / (FLOPS * 90 * 86_400))
    assert "measured-by-inference" in [one["name"] for one in told["warnings"]]
    refused = await deployment.start_program(
        "byoi", *ESTIMATE, "--data-dir", data, BYOI_API_KEY="sk-none"
    )
    _, said = await refused.communicate()
    assert refused.returncode != 0
    assert b"Traceback" not in said
    assert b"sk-none" not in said
    assert said.startswith(b"byoi: ")
