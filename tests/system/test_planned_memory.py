"""What the planner says of llama.cpp against what llama.cpp itself writes about its buffers."""

from __future__ import annotations

import asyncio
import json
import re
import tempfile
from pathlib import Path

import pytest

from byoi_agent.engine.kinds.llamacpp import RUNTIME
from byoi_agent.engine.model_facts import facts_at
from byoi_agent.engine.runtimes import Runtimes
from byoi_agent.models.catalogue import CATALOGUE
from byoi_agent.models.hub import ModelStore
from byoi_agent.planning.fit import Wish, need_of
from byoi_agent.planning.layouts import Layout
from byoi_agent.planning.machines import GIB, PlanDevice

MIB = 1 << 20
LOG = re.compile(r"(model|KV|compute) buffer size =\s+([0-9.]+) MiB")

TALKATIVE = """
import json
import os
import sys
import xllamacpp as x
told = json.loads(sys.argv[1])
p = x.CommonParams()
p.model.path = told["model"]
p.hostnames = [told["socket"]]
p.n_parallel = told["slots"]
p.n_ctx = told["slots"] * told["context"]
p.n_batch = p.n_ubatch = min(told["context"], 1024)
p.embedding = True
p.pooling_type = x.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
p.ui = False
p.verbosity = 10
server = x.Server(p)
sys.stdout.flush()
os._exit(0)
"""
"""As `serve_llamacpp.py` sets it up, but it says how large its buffers are, and ends."""


async def buffers(python, file, slots, context):
    """Bytes of weights, context and a step, as the engine allocates them."""
    with tempfile.TemporaryDirectory(prefix="bp-", dir="/tmp") as folder:
        told = {"model": str(file), "slots": slots, "context": context}
        process = await asyncio.create_subprocess_exec(
            *(str(python), "-I", "-c", TALKATIVE),
            json.dumps({**told, "socket": f"{folder}/e.sock"}),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={"OMP_WAIT_POLICY": "PASSIVE"},
        )
        output, _ = await process.communicate()
    assert process.returncode == 0, output[-2000:]
    found = LOG.findall(output.decode(errors="replace"))
    # It tries without memory first, and writes zeros: the last one of each holds.
    return {name: round(float(size) * MIB) for name, size in found}


@pytest.mark.slow
@pytest.mark.engine
async def test_weights_and_context_are_within_two_percent_of_llama_cpp_s_buffers(helper, capsys):
    paths = helper("engine_run").paths_in(Path("/nowhere"), Path("/nowhere"))
    python = await Runtimes(paths.engines_folder).ensure(RUNTIME, lambda _: None)
    file = await ModelStore(paths.models_folder).ensure(CATALOGUE[0], lambda _: None)
    facts = facts_at(file)
    layout = Layout((PlanDevice(0, "cpu", "this machine", 24 * GIB),))
    for slots, context in ((4, 2048), (1, 8192), (2, 300), (4, 128)):
        need = need_of(facts, layout, Wish("llamacpp"), context, slots)
        step = need.overheads[1].size_bytes
        measured = await buffers(python, file, slots, context)
        with capsys.disabled():
            print(f"\n{slots} x {context}: {need.weights} {need.kv * slots} {step}, {measured}")
        assert need.weights == pytest.approx(measured["model"], rel=0.02)
        assert need.kv * slots == pytest.approx(measured["KV"], rel=0.02)
        assert step == pytest.approx(measured["compute"], rel=0.05)
