"""Real loads of a real engine: how far the arithmetic was off, and how far what was then said."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from byoi_agent.clock import SystemClock
from byoi_agent.config.settings import Settings
from byoi_agent.engine.kept_loads import KeptLoads, read_loads
from byoi_agent.engine.load_watch import LoadWatch
from byoi_agent.engine.prediction import predict
from byoi_agent.engine.view import EngineLoad
from byoi_agent.models.catalogue import CATALOGUE

LOADS = (
    (1, 512),
    (1, 2048),
    (4, 2048),
    (8, 1024),
    (2, 4096),
    (4, 4096),
    (1, 8192),
    (1, 512),
    (4, 2048),
    (8, 4096),
)
"""Slots and the context of each, some of them twice."""

MODEL = CATALOGUE[0]
REACH = int(os.environ.get("BYOI_TEST_PROMPT_TOKENS", "256"))
"""Tokens that each load reads; with 1024, one whole step of the engine, it takes minutes."""

MIB = 1 << 20


async def work(run, context):
    """An embedding, which takes more than anything else of that length."""
    tokens = min(context, REACH) - 24
    body = {"model": MODEL.id, "input": "one " * tokens}
    answer = await run.supervisor.client.fetch(
        "POST", "/v1/embeddings", json.dumps(body).encode(), timeout_seconds=120
    )
    assert answer.status == 200, answer.body
    return json.loads(answer.body)["usage"]["prompt_tokens"]


@pytest.mark.slow
@pytest.mark.engine
@pytest.mark.timeout(600)
async def test_each_load_makes_the_next_estimate_better(helper, tmp_path, capsys):
    engines = helper("engine_run")
    file = tmp_path / "loads.json"
    rows = []
    for number, (slots, context) in enumerate(LOADS):
        with tempfile.TemporaryDirectory(prefix="byoi-", dir="/tmp") as runtime:
            paths = engines.paths_in(tmp_path / "state", Path(runtime))
            kept = KeptLoads(file)  # as after a restart of the node
            settings = Settings(engine="llamacpp", slots=slots, context_tokens=context)
            prediction = predict(settings, paths)
            watch = LoadWatch(kept, predict=lambda _, it=prediction: it, clock=SystemClock())
            async with engines.running(paths, slots=slots, context_tokens=context) as run:
                assert await work(run, context) > min(context, REACH) / 2
                view = replace(run.supervisor.view, load=EngineLoad(prompt_tokens=context))
                watch.look([view], ())
                await watch.measure()
        one = read_loads(file).seen[prediction.key][-1]
        rows.append((number + 1, slots, context, one))
    with capsys.disabled():
        print(_table(rows))
    accuracy = read_loads(file).accuracy()
    assert accuracy.loads == len(LOADS)
    assert accuracy.after < accuracy.before * 0.8
    later = [one for *_, one in rows[1:]]
    assert all(one.expected_bytes > one.measured_bytes * 0.97 for one in later)  # none too little


def _table(rows) -> str:
    lines = [
        "",
        "| load | slots | context | reckoned | said | measured | error | error of what was said |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for number, slots, context, one in rows:
        sizes = [one.predicted_bytes, one.expected_bytes, one.measured_bytes]
        errors = [size / one.measured_bytes - 1 for size in sizes[:2]]
        cells = [number, slots, context, *(f"{size / MIB:.0f} MiB" for size in sizes)]
        cells += [f"{error * 100:+.1f} %" for error in errors]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)
