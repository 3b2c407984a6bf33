from __future__ import annotations

import asyncio

import pytest

from byoi_agent.bench import target as module
from byoi_agent.bench.target import Target, id_at, own_engine, server_target
from byoi_agent.engine.address import EngineAddress
from byoi_agent.engine.view import EngineView, ServedModel
from byoi_agent.errors import EngineError

NOWHERE = EngineAddress.parse("http://127.0.0.1:9")
MODEL = ServedModel("smol", "smol.gguf", ("/v1/chat/completions",), 2048)


@pytest.mark.parametrize(
    ("url", "is_local"),
    [
        ("unix:///run/engine.sock", True),
        ("http://localhost:8000/v1", True),
        ("http://127.0.0.1:8000/v1", True),
        ("http://[::1]:8000/v1", True),
        ("http://10.0.0.7:8000/v1", False),
        ("https://api.example/v1", False),
    ],
)
def test_energy_is_ours_only_where_the_engine_is(url, is_local):
    assert Target("m", "m", EngineAddress.parse(url), "").is_local is is_local


async def test_a_server_that_does_not_answer_is_told():
    with pytest.raises(EngineError, match="cannot be measured"):
        await server_target(NOWHERE, None)
    with pytest.raises(EngineError, match="cannot connect"):
        await id_at(NOWHERE, "smol")


@pytest.mark.parametrize(
    ("listed", "found"), [(["smol", "b"], "smol"), (["a.gguf"], "a.gguf"), (["a", "b"], "smol")]
)
async def test_an_engine_with_one_model_may_call_it_as_it_likes(monkeypatch, listed, found):
    async def models(_client):
        return [{"id": name} for name in listed]

    monkeypatch.setattr(module.probes, "listed_models", models)
    assert await id_at(NOWHERE, "smol") == found


async def test_an_engine_that_does_not_list_in_time_is_told(monkeypatch):
    async def models(_client):
        await asyncio.Event().wait()

    monkeypatch.setattr(module.probes, "listed_models", models)
    monkeypatch.setattr(module, "_ASK_SECONDS", 0.0)
    with pytest.raises(EngineError, match="does not answer"):
        await id_at(NOWHERE, "smol")


class Supervisor:
    """Goes through these states, one in each turn of the loop."""

    states = ()
    has_ended = False

    def __init__(self, kind, *, publish, **_):
        self.kind, self.client = kind, object()
        self.publish = publish
        self.view = EngineView("stopped", "llamacpp", version="7")

    async def run(self):
        try:
            for state, reason in type(self).states:
                await asyncio.sleep(0)
                models = (MODEL,) if state == "ready" else ()
                self.view = EngineView(
                    state, "llamacpp", models, slots=4, version="7", reason=reason
                )
                self.publish(self.view)
            await asyncio.Event().wait()
        finally:
            type(self).has_ended = True


class Kind:
    address = NOWHERE
    uses_gpus = 0


@pytest.fixture
def own(monkeypatch, tmp_path, clock):
    """An engine that goes through some states."""
    monkeypatch.setattr(module, "EngineSupervisor", Supervisor)
    monkeypatch.setattr(Supervisor, "has_ended", False)

    def through(*states, tell=lambda _: None):
        monkeypatch.setattr(Supervisor, "states", states)
        return own_engine(Kind(), tmp_path / "runs", clock, tell=tell, report=lambda _: None)

    return through


async def test_an_engine_of_our_own_is_ready_and_gone_afterwards(own):
    said = []
    states = (("starting", None), ("backing_off", "busy"), ("starting", "busy"), ("ready", None))
    async with own(*states, tell=said.append) as target:
        assert (target.model, target.engine_id, target.engine) == (
            "smol",
            "smol.gguf",
            "llamacpp 7",
        )
        assert (target.slots, target.context_tokens) == (4, 2048)
        assert target.is_on_host
        assert target.client is not None, "by it the supervisor sees that the engine works"
        assert not Supervisor.has_ended
    assert Supervisor.has_ended
    assert said == ["the engine waits: busy"]


async def test_an_engine_that_only_its_owner_can_mend_is_an_error_and_gone(own):
    with pytest.raises(ExceptionGroup) as told:
        async with own(("starting", None), ("failed", "no memory")):
            pytest.fail("it never was ready")
    assert told.group_contains(EngineError, match="no memory")
    assert Supervisor.has_ended
