from __future__ import annotations

import asyncio
from dataclasses import replace
from types import SimpleNamespace

import pytest

from byoi_agent.clock import SystemClock
from byoi_agent.config.paths import Paths
from byoi_agent.config.settings import Settings
from byoi_agent.engine import load_watch, prediction
from byoi_agent.engine.estimate import Reckoning
from byoi_agent.engine.kept_loads import read_loads
from byoi_agent.engine.learning import Learning
from byoi_agent.engine.view import EngineView
from byoi_agent.planning.calibration import Accuracy

READY = EngineView("ready", "llamacpp", pid=10, key="smol")
MIB = 1 << 20


class Engines:
    def __init__(self):
        self.entries = [SimpleNamespace(key="smol", settings=Settings(engine="llamacpp"))]
        self.reconsidered = asyncio.Event()

    def reconsider(self):
        self.reconsidered.set()


@pytest.fixture
def paths(tmp_path, monkeypatch):
    found = Reckoning("smol", "q4_1", 2048, 4, 100 * MIB, is_on_devices=False)
    monkeypatch.setattr(prediction, "reckon", lambda *_: found)
    monkeypatch.setattr(load_watch, "tree_of", lambda pid: (pid,))
    monkeypatch.setattr(load_watch, "host_peak_bytes", lambda pids: 150 * MIB)
    return Paths(tmp_path, tmp_path, tmp_path)


async def test_what_an_engine_took_is_what_the_next_is_expected_to_take(paths):
    engines, told = Engines(), []
    learning = Learning(paths, SystemClock(), lambda: engines, told.append)
    (wanted,) = engines.entries
    assert learning.expected_bytes(wanted) is None
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(learning.run())
        learning.look([replace(READY, state="asleep", pid=None)], ())
        await engines.reconsidered.wait()
        running.cancel()
    assert learning.expected_bytes(wanted) == 100 * MIB
    engines.reconsidered.clear()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(learning.run())
        learning.look([READY], ())
        await engines.reconsidered.wait()
        running.cancel()
    assert 120 * MIB < learning.expected_bytes(wanted) < 150 * MIB
    (load,) = read_loads(paths.loads_file).seen.values()
    assert load[0].measured_bytes == 150 * MIB
    assert (told[0], told[-1]) == (None, Accuracy(1, pytest.approx(1 / 3), pytest.approx(1 / 3)))


async def test_an_engine_that_nobody_wants_any_more_teaches_nothing(paths):
    engines, told = Engines(), []
    learning = Learning(paths, SystemClock(), lambda: engines, told.append)
    learning.look([replace(READY, key="gone")], ())
    await learning._watch.measure()
    assert read_loads(paths.loads_file).seen == {}
