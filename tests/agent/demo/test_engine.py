from __future__ import annotations

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from byoi_agent.config.paths import resolve
from byoi_agent.config.settings import Settings
from byoi_agent.demo import engine
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
