from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import pytest

from byoi_agent.config.settings import Settings
from byoi_agent.doctor import engines
from byoi_agent.doctor.fixes import fix
from byoi_agent.engine.leftovers import MARK, Run, _boot


async def test_an_engine_that_is_not_here_yet_is_fetched_unless_that_is_forbidden(well, told):
    assert told(await engines.check(well()))["engine"].state == "ok"
    never = well(settings=Settings(downloads="never"))
    found = told(await engines.check(never))["engine"]
    assert found.state == "fail"
    assert "byoi engines install llamacpp" in found.mend


async def test_a_model_that_is_none(well, told):
    found = told(await engines.check(well(settings=Settings(model="no-such-model"))))["engine"]
    assert found.state == "fail"
    assert "no-such-model" in found.text


async def test_a_server_to_be_attached_is_knocked_at(well, told, unused_tcp_port):
    there = Settings(engine=f"http://127.0.0.1:{unused_tcp_port}/v1")
    assert told(await engines.check(well(settings=there)))["engine"].state == "fail"
    server = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", unused_tcp_port)
    async with server:
        assert told(await engines.check(well(settings=there)))["engine"].state == "ok"


@pytest.mark.skipif(sys.platform != "linux", reason="orphans are found by /proc")
async def test_orphans_of_a_killed_node_are_told_and_ended(well, told):
    patient = well()
    orphan = subprocess.Popen(["sleep", "60"], env={**os.environ, MARK: "m1"})
    try:
        Run("m1", _boot(), 2**22 + 1, 0).save(patient.paths.engine_runs_folder)
        async with asyncio.timeout(60):
            while "orphans" not in (found := told(await engines.check(patient))):
                await asyncio.sleep(0.01)
        assert found["orphans"].can_fix
        reaped = asyncio.create_task(asyncio.to_thread(orphan.wait))
        assert await fix(patient, frozenset({"orphans"})) == {"orphans": "1 processes ended"}
        assert await reaped == -9
        assert "orphans" not in told(await engines.check(patient))
    finally:
        orphan.kill()
        orphan.wait()
