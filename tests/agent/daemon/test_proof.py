from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from byoi_agent.availability.view import AvailabilityView
from byoi_agent.clock import SystemClock
from byoi_agent.config.paths import prepare, resolve
from byoi_agent.config.settings import Settings
from byoi_agent.daemon import proof as module
from byoi_agent.daemon.proof import Proving
from byoi_agent.doctor import hardware
from byoi_agent.engine.view import EngineView, ServedModel
from byoi_agent.errors import EngineError
from byoi_agent.hardware.devices import ProbeReading

READY = EngineView("ready", "llamacpp", (ServedModel("smol", "smol", ()),), version="1", key="a")


class Node:
    """A node's rooms as far as they are asked; `canary` is what its engine does when it is."""

    def __init__(self, tmp_path):
        settings = Settings(data_dir=tmp_path / "d", cache_dir=tmp_path / "c")
        paths = resolve(settings, {})
        prepare(paths)
        self.views = (READY,)
        self.availability = AvailabilityView()
        self.canary = self.well
        self.answers = SimpleNamespace(board=self, energy=self, paths=paths, clock=SystemClock())
        self.proving = Proving(self.answers, self, lambda: settings)

    @property
    def view(self):
        return SimpleNamespace(
            availability=self.availability,
            state=self.views[0].state,
            reason=self.views[0].reason,
        )

    async def read(self):
        return ProbeReading(())

    def engine_for(self, model):
        assert model == "smol"
        return SimpleNamespace(kind=SimpleNamespace(canary=self.canary), client="client")

    async def well(self, client):
        assert client == "client"


@pytest.fixture
def node(tmp_path, monkeypatch):
    monkeypatch.setattr(hardware, "cards", dict)
    monkeypatch.setattr(hardware, "closed", list)
    return Node(tmp_path)


async def test_an_engine_that_is_ready_is_asked_for_a_token(node):
    proof = await node.proving.proof()
    assert (proof.is_proven, proof.model, proof.engine) == (True, "smol", "llamacpp 1")
    assert proof.seconds >= 0


async def test_a_machine_that_is_its_owner_s_is_not_asked(node):
    node.availability = AvailabilityView(state="yield", code="paused", reason="paused by you")
    proof = await node.proving.proof()
    assert (proof.is_proven, proof.is_held) == (False, True)
    assert "paused by you" in proof.sentence


@pytest.mark.parametrize(
    ("state", "is_pending", "mend"),
    [
        ("starting", True, None),
        ("backing_off", True, None),
        ("failed", False, "byoi logs"),
        ("asleep", False, "byoi engines wake"),
    ],
)
async def test_an_engine_that_is_not_ready_says_why(node, state, is_pending, mend):
    node.views = (EngineView(state, "vllm", reason="out of memory"),)
    proof = await node.proving.proof()
    assert (proof.missing, proof.is_pending, proof.mend) == ("out of memory", is_pending, mend)


async def test_an_engine_that_gives_no_token_proves_nothing(node, monkeypatch):
    async def broken(_client):
        raise EngineError("it answered 500")

    node.canary = broken
    assert "smol gave no token: it answered 500" in (await node.proving.proof()).sentence

    async def silent(_client):
        await asyncio.Event().wait()

    node.canary = silent
    monkeypatch.setattr(module, "TOKEN_SECONDS", 0.01)
    proof = await node.proving.proof()
    assert (proof.is_proven, proof.is_pending) == (False, False)
    assert "gave no token within" in proof.missing
