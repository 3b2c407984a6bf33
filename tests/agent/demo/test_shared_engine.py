from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from byoi_agent.config.paths import resolve
from byoi_agent.config.settings import Settings
from byoi_agent.demo import shared_engine as module
from byoi_agent.demo.shared_engine import SharedEngine
from byoi_agent.demo.talk import Silence
from byoi_agent.engine.address import EngineAddress
from byoi_agent.engine.view import EngineView
from byoi_agent.errors import EngineError

URL = "unix:///run/engine.sock"


class Talk(Silence):
    def __init__(self):
        self.lines = []

    def say(self, text):
        self.lines.append(text)


class Supervisor:
    """What a supervisor publishes, at the test's word."""

    def __init__(self, kind, *, publish, records, **_):
        self.kind = kind
        self.publish = publish
        self.records = records
        self.view = EngineView("starting", "vllm", url=URL)
        self.has_ended = False

    def show(self, state, **fields):
        self.view = EngineView(state, "vllm", url=URL, **fields)
        self.publish(self.view)

    async def run(self):
        try:
            await asyncio.Event().wait()
        finally:
            self.has_ended = True


class Kind:
    address = EngineAddress.parse(URL)


@pytest.fixture
def talk():
    return Talk()


@pytest.fixture
def shared(tmp_path, monkeypatch, talk):
    monkeypatch.setattr(module, "EngineSupervisor", Supervisor)
    settings = Settings(
        data_dir=tmp_path / "e", cache_dir=tmp_path / "c", runtime_dir=tmp_path / "r"
    )
    return SharedEngine(Kind(), resolve(settings, {}), talk)


async def test_nodes_are_started_once_it_serves(shared, talk):
    waiting = asyncio.ensure_future(shared.until_ready())
    supervisor = shared._supervisor
    supervisor.show("starting")
    supervisor.show("backing_off", reason="its socket is taken")
    supervisor.show("backing_off", reason="its socket is taken")
    await asyncio.sleep(0)
    assert not waiting.done()
    supervisor.show("ready", pid=7)
    await waiting
    assert talk.lines == ["  the engine waits: its socket is taken"]
    assert shared.url == URL
    assert shared.place.model_dump() == {"kind": "vllm", "pid": 7, "url": URL}


async def test_what_only_the_owner_can_mend_is_the_end_of_waiting(shared):
    waiting = asyncio.ensure_future(shared.until_ready())
    await asyncio.sleep(0)
    shared._supervisor.show("failed", reason="its hash does not fit")
    with pytest.raises(EngineError, match="cannot be used: its hash does not fit"):
        await waiting


async def test_at_the_end_nothing_of_it_is_left(shared):
    life = asyncio.ensure_future(shared.run())
    paths = shared._paths
    async with asyncio.timeout(60):
        while not paths.runtime.exists():
            await asyncio.sleep(0)
    (Path(paths.runtime) / "engine.sock").touch()
    life.cancel()
    with pytest.raises(asyncio.CancelledError):
        await life
    assert shared._supervisor.has_ended
    assert not paths.runtime.exists()
