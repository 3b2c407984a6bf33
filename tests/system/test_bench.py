"""What `byoi bench` finds on a node reaches its console, and is still known after a restart."""

from __future__ import annotations

import json

import pytest

QUICK = ("--concurrency", "1,2", "--seconds", "0.5", "--output-tokens", "8", "--no-knee")


async def measured_at(deployment):
    """What the console knows of the one model of its one node."""
    (node,) = await deployment.nodes()
    models = node["models"]
    return models[0]["measured"] if models else None


@pytest.mark.slow
async def test_what_a_benchmark_finds_is_advertised_and_kept(deployment):
    await deployment.start_console()
    engine = await deployment.start_fake_engine("engine", "--rate", "100")
    node = await deployment.start_node("node", "--engine", engine.ready["url"])
    assert await measured_at(deployment) is None
    printed = await deployment.program(
        "byoi", "bench", "--data-dir", deployment.folder / "node", *QUICK, "--json"
    )
    report = json.loads(printed)
    assert report["is_kept"]

    async def is_told():
        return await measured_at(deployment)

    told = await deployment.until(is_told)
    assert told["engine"] == report["engine"] == "attached stand-in"
    assert told["knee_tokens_per_second"] == report["knee_tokens_per_second"]
    assert told["decode_tokens_per_second"] == report["decode_tokens_per_second"] > 0
    assert told["joules_per_token"] is None
    assert (await deployment.chat("Hello")).is_complete
    await node.stop()
    await deployment.run_node("node", "--engine", engine.ready["url"])
    assert await deployment.until(is_told) == told
