"""Real loads of a real engine: how far the arithmetic was off, and how far what was then said."""

from __future__ import annotations

import json
import os
import shutil
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
from byoi_agent.models.hub import ModelStore
from byoi_agent.planning.calibration import Corrections, Observation

LOADS = (
    (1, 256),
    (2, 128),
    (8, 128),
    (4, 256),
    (16, 256),
    (1, 256),
    (32, 128),
    (4, 256),
    (32, 256),
    (8, 512),
)
"""Slots and the context of each, some of them twice."""

WIDE_LOADS = (
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
"""The ones of the documentation (BYOI_TEST_WIDE_LOADS=1), which take minutes."""

MODEL = CATALOGUE[0]
STEP = 1024
"""Tokens that the engine computes at once: longer inputs take no more than that."""

MIB = 1 << 20


async def work(run, context):
    """An embedding that fills a step, which takes more than anything else of that length."""
    tokens = min(context, STEP) - 24
    body = {"model": MODEL.id, "input": "one " * tokens}
    answer = await run.supervisor.client.fetch(
        "POST", "/v1/embeddings", json.dumps(body).encode(), timeout_seconds=120
    )
    assert answer.status == 200, answer.body
    return json.loads(answer.body)["usage"]["prompt_tokens"]


def paths_of(engines):
    return engines.paths_in(Path("/nowhere"), Path("/nowhere"))


@pytest.mark.slow
@pytest.mark.engine
@pytest.mark.timeout(600)
async def test_each_load_makes_the_next_estimate_better(helper, tmp_path, capsys):
    engines = helper("engine_run")
    file = tmp_path / "loads.json"
    # Of a file that other engines read as well, each process counts a part only.
    model = shutil.copy(ModelStore(paths_of(engines).models_folder).path_of(MODEL), tmp_path)
    rows, seen = [], []
    loads = WIDE_LOADS if os.environ.get("BYOI_TEST_WIDE_LOADS") else LOADS
    for number, (slots, context) in enumerate(loads):
        with tempfile.TemporaryDirectory(prefix="byoi-", dir="/tmp") as runtime:
            paths = engines.paths_in(tmp_path / "state", Path(runtime))
            kept = KeptLoads(file)  # as after a restart of the node
            wanted = {"model": str(model), "slots": slots, "context_tokens": context}
            prediction = predict(Settings(engine="llamacpp", **wanted), paths)
            watch = LoadWatch(kept, predict=lambda _, it=prediction: it, clock=SystemClock())
            async with engines.running(paths, **wanted) as run:
                assert await work(run, context) > min(context, STEP) * 0.7
                view = replace(run.supervisor.view, load=EngineLoad(prompt_tokens=context))
                watch.look([view], ())
                await watch.measure()
        one = read_loads(file).seen[prediction.key][-1]
        rows.append((number + 1, slots, context, one))
        seen.append((prediction.key, one))
    with capsys.disabled():
        print(_table(rows))
    accuracy = read_loads(file).accuracy()
    assert accuracy.loads == len(loads)
    assert accuracy.before < 0.1
    assert accuracy.after < max(accuracy.before, 0.03)
    later = [one for *_, one in rows[1:]]
    assert all(one.expected_bytes > one.measured_bytes * 0.97 for one in later)  # none too little
    forgetful = _without_scores(seen)
    assert forgetful.after < forgetful.before * 0.6


def _without_scores(seen):
    """The same loads, as if the arithmetic had forgotten what a step takes."""
    corrections = Corrections()
    for number, (key, one) in enumerate(seen):
        known = min(key.context_tokens, STEP) * 49_152 * 4 * 2
        predicted = one.predicted_bytes - known
        expected = corrections.of(key, predicted).applied(predicted)
        told = Observation(predicted, one.measured_bytes, float(number), expected)
        corrections = corrections.and_seen(key, told)
    return corrections.accuracy()


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
