from __future__ import annotations

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from byoi_agent.config.paths import resolve
from byoi_agent.config.settings import Settings
from byoi_agent.demo import engine
from byoi_agent.demo.choices import Choices
from byoi_agent.demo.folder import DemoFolder
from byoi_agent.demo.talk import Silence
from byoi_agent.engine.kinds import choice
from byoi_agent.engine.kinds.vllm_releases import RELEASES
from byoi_agent.errors import ConfigError, EngineError


@pytest.fixture
async def server():
    async def models(request):
        if request.headers.get("authorization") != "Bearer k":
            return web.json_response({}, status=401)
        return web.json_response({"data": [{"id": "big"}, {"id": "small"}]})

    app = web.Application()
    app.router.add_get("/v1/models", models)
    running = TestServer(app)
    await running.start_server()
    yield str(running.make_url("/v1"))
    await running.close()


@pytest.mark.parametrize("model", [None, "small"])
async def test_a_server_that_answers_is_fine(server, model):
    await engine.ask_attached(server, "k", model)


async def test_a_model_that_it_does_not_offer_is_told_with_those_it_does(server):
    with pytest.raises(EngineError, match="it offers big, small"):
        await engine.ask_attached(server, "k", "tiny")


async def test_a_wrong_key_and_nobody_there_are_told(server):
    with pytest.raises(EngineError, match="401"):
        await engine.ask_attached(server, "wrong", None)
    with pytest.raises(EngineError, match="is it running"):
        await engine.ask_attached("http://127.0.0.1:1/v1", None, None)


async def test_an_unknown_model_is_told_before_anything_is_fetched(tmp_path):
    paths = resolve(Settings(data_dir=tmp_path, cache_dir=tmp_path / "c"), {})
    with pytest.raises(ConfigError, match="did you mean"):
        await engine.fetch_engine("llamacpp", "smollm", paths, lambda _: None)
    assert not (tmp_path / "c").exists()


async def test_environment_and_model_are_fetched_into_the_cache(tmp_path, monkeypatch):
    fetched = []

    async def ensure(store, what, report):
        report(what)
        fetched.append(store._folder.name)

    monkeypatch.setattr(engine.Runtimes, "ensure", ensure)
    monkeypatch.setattr(engine.ModelStore, "ensure", ensure)
    told = []
    paths = resolve(Settings(data_dir=tmp_path, cache_dir=tmp_path / "c"), {})
    await engine.fetch_engine("llamacpp", None, paths, told.append)
    assert fetched == ["engines", "models"]
    assert len(told) == 2


def paths_of(tmp_path):
    return resolve(Settings(data_dir=tmp_path, cache_dir=tmp_path / "c"), {})


def test_vllm_is_the_usual_engine_only_where_it_is_installed_and_has_a_gpu(tmp_path, monkeypatch):
    cuda, cpu = RELEASES
    paths = paths_of(tmp_path)
    monkeypatch.setattr(engine, "vllm_release", lambda _: cpu)
    assert engine.usual_engine(paths) == "llamacpp"
    monkeypatch.setattr(engine, "vllm_release", lambda _: cuda)
    assert engine.usual_engine(paths) == "llamacpp"
    engine.Runtimes(paths.engines_folder).folder_of(cuda.runtime()).mkdir(parents=True)
    assert engine.usual_engine(paths) == "vllm"

    def no_driver(_):
        raise EngineError("the driver hangs")

    monkeypatch.setattr(engine, "vllm_release", no_driver)
    assert engine.usual_engine(paths) == "llamacpp"


def test_whose_build_it_is_is_said_before_it_is_installed_and_not_again(tmp_path, monkeypatch):
    _, cpu = RELEASES
    paths = paths_of(tmp_path)
    monkeypatch.setattr(engine, "vllm_release", lambda _: cpu)
    assert engine.provenance_of("llamacpp", paths) is None
    assert "private person" in engine.provenance_of("vllm", paths)
    engine.Runtimes(paths.engines_folder).folder_of(cpu.runtime()).mkdir(parents=True)
    assert engine.provenance_of("vllm", paths) is None


async def test_vllm_is_fetched_by_its_own_kind(tmp_path, monkeypatch):
    fetched = []

    async def fetch(kind, report):
        fetched.append(kind.version)
        report("half")

    monkeypatch.setattr(choice, "build_here", lambda: "cpu")
    monkeypatch.setattr(choice, "obstacle", lambda _: None)
    monkeypatch.setattr(engine.Vllm, "fetch", fetch)
    told = []
    await engine.fetch_engine("vllm", None, paths_of(tmp_path), told.append)
    assert fetched == ["0.32.0"]
    assert told == ["half"]


def test_the_shared_engine_has_a_folder_and_sockets_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(choice, "build_here", lambda: "cpu")
    monkeypatch.setattr(choice, "obstacle", lambda _: None)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "")
    shared = engine.shared_engine(
        Choices(engine="vllm", nodes=2), DemoFolder(tmp_path), paths_of(tmp_path), Silence()
    )
    assert shared.url.startswith("unix://")
    assert shared.place.pid is None
