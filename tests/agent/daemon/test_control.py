from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jsonschema import Draft202012Validator

from byoi_agent.config.loading import load
from byoi_agent.config.paths import prepare, resolve
from byoi_agent.config.settings import Settings
from byoi_agent.control.client import ControlClient
from byoi_agent.control.instances import read_place
from byoi_agent.control.model_words import PullOrder
from byoi_agent.daemon.daemon import Daemon
from byoi_agent.errors import AgentError, ConfigError
from byoi_agent.identity.keys import Identity

MEASURED = {
    "at_ms": 1,
    "engine": "llamacpp 1",
    "first_token_ms": 20.0,
    "decode_tokens_per_second": 50.0,
    "knee_concurrency": 4,
    "knee_tokens_per_second": 100.0,
}
SCHEDULE = {"windows": [{"days": ["mon"], "since": "22:00", "until": "23:00"}]}
PULL = {"model": "owner/none"}

CALLS = [
    ("GET", "/api/status", None, 200),
    ("GET", "/api/offer", None, 200),
    ("GET", "/api/usage?since=2026-01-01", None, 200),
    ("GET", "/api/usage?since=0000-00-00&until=9999-99-99", None, 200),
    ("GET", "/api/usage?since=2026-99-99", None, 400),
    ("GET", "/api/usage?until=tomorrow", None, 400),
    ("GET", "/api/usage?sine=2026-01-01", None, 400),
    ("GET", "/api/version", None, 200),
    ("GET", "/api/openapi.json", None, 200),
    ("GET", "/metrics", None, 200),
    ("GET", "/api/doctor", None, 200),
    ("POST", "/api/doctor/fix", None, 200),
    ("GET", "/api/update", None, 200),
    ("POST", "/api/update/look", None, 409),
    ("POST", "/api/update/install", None, 409),
    ("POST", "/api/prove", None, 200),
    ("GET", "/api/schedule", None, 200),
    ("PUT", "/api/schedule", SCHEDULE, 200),
    ("PUT", "/api/schedule", {"windows": 1}, 400),
    ("GET", "/api/pins", None, 200),
    ("POST", "/api/pins/none/consent", None, 409),
    ("POST", "/api/pins/none/refuse", None, 409),
    ("POST", "/api/pins/none/withdraw", None, 409),
    ("POST", "/api/session", {"user": "jo", "idle_seconds": 1}, 200),
    ("POST", "/api/session", {"idle_seconds": -1}, 400),
    ("POST", "/api/availability/pause", {"seconds": 60, "finish": True}, 200),
    ("POST", "/api/availability/pause", {"seconds": -1}, 400),
    ("POST", "/api/availability/resume", {}, 200),
    ("POST", "/api/availability/update", {"version": None}, 200),
    ("POST", "/api/availability/update", {"version": 1}, 400),
    ("POST", "/api/availability/mode", {"mode": "dedicated"}, 200),
    ("POST", "/api/availability/mode", {"mode": "sometimes"}, 400),
    ("POST", "/api/engine/sleep", {"model": "none"}, 404),
    ("POST", "/api/engine/sleep", {"within_seconds": 0}, 202),
    ("POST", "/api/engine/wake", None, 202),
    ("POST", "/api/measured", {"model": "smol", "measured": MEASURED}, 202),
    ("POST", "/api/measured", {}, 400),
    ("POST", "/api/reload", None, 200),
    ("GET", "/api/config", None, 200),
    ("GET", "/api/config/schema", None, 200),
    ("GET", "/api/config/slots", None, 200),
    ("GET", "/api/config/slotz", None, 404),
    ("PUT", "/api/config/slots", {"value": 3}, 200),
    ("PUT", "/api/config/slots", {"value": 0}, 400),
    ("PUT", "/api/config/slots", {}, 400),
    ("PUT", "/api/config/idle.after_minutes", {"value": 4}, 200),
    ("GET", "/api/models", None, 200),
    ("DELETE", "/api/models/owner%2Fnone", None, 404),
    ("DELETE", "/api/models/smollm2-135m-instruct", None, 409),
    ("POST", "/api/models/smol/load", None, 202),
    ("POST", "/api/models/none/load", None, 404),
    ("POST", "/api/models/none/unload", {"within_seconds": 0}, 404),
    ("POST", "/api/models/smol/unload", {"within_seconds": "x"}, 400),
    ("POST", "/api/models/owner%2Fnone/serve", {}, 409),
    ("POST", "/api/models/owner%2Fnone/serve", {"slots": 0}, 400),
    ("POST", "/api/models/owner%2Fnone/unserve", None, 404),
    ("POST", "/api/models/pull", PULL, 202),
    ("POST", "/api/models/pull", {"model": "/etc/passwd"}, 400),
    ("GET", "/api/models/pulls", None, 200),
    ("DELETE", "/api/models/pulls/none", None, 404),
    ("GET", "/api/logs?lines=5", None, 200),
    ("GET", "/api/logs?level=loud", None, 400),
    ("GET", "/api/events?kinds=none", None, 400),
    ("POST", "/api/dashboard/open", None, 200),
    ("POST", "/api/dashboard/sign-out", None, 200),
    ("GET", "/api/keys", None, 409),
    ("POST", "/api/keys/rotate", None, 409),
]


@pytest.fixture
async def engine():
    async def models(_request):
        return web.json_response({"data": [{"id": "smol"}]})

    async def chat(_request):
        return web.json_response({"choices": [{"message": {"content": "Hi"}}]})

    app = web.Application()
    app.router.add_get("/v1/models", models)
    app.router.add_post("/v1/chat/completions", chat)
    async with TestServer(app) as server:
        yield str(server.make_url("/v1"))


@pytest.fixture
def identity():
    return Identity(
        node_id="n1",
        key_id="k1",
        key=Ed25519PrivateKey.generate(),
        console_key=Ed25519PrivateKey.generate().public_key(),
        console_key_id="c1",
        origin="http://127.0.0.1:1",
        console_url="http://127.0.0.1:1",
    )


@pytest.fixture
def file(tmp_path, engine):
    made = tmp_path / "config.toml"
    made.write_text(f'# mine\nengine = "{engine}"\ndownloads = "never"\n')
    return made


@pytest.fixture
async def node(tmp_path, identity, file):
    flags = {f"{name}_dir": tmp_path / name for name in ("data", "cache", "runtime")}

    def loaded():
        return load(flags, {}, file)

    paths = resolve(loaded().values, {})
    prepare(paths)
    daemon = Daemon(
        loaded().values,
        paths,
        identity,
        reread=lambda: loaded().values,
        config_file=file,
        loaded=loaded,
    )
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(daemon.run())
        await daemon._board.wait_until(lambda view: view.engine.state == "ready")
        yield Asked(read_place(paths.control_file))
        daemon.stop.at_once()


class Asked:
    """The running node, asked over loopback and by its client."""

    def __init__(self, place):
        self.place = place
        self.client = ControlClient.at(place)
        self.headers = {"Authorization": f"Bearer {place.control_token}"}

    async def ask(self, function, *arguments):
        return await asyncio.to_thread(function, *arguments)

    @asynccontextmanager
    async def call(self, method, path, body=None):
        url = aiohttp.client.URL(self.place.control_url + path, encoded=True)
        async with (
            aiohttp.ClientSession(headers=self.headers) as session,
            session.request(method, url, json=body) as response,
        ):
            yield response


def pattern_of(document, method, path):
    """The described path that a call means: the one with the fewest names in it."""
    words = path.partition("?")[0].split("/")
    fitting = [
        each
        for each, operations in document["paths"].items()
        if method.lower() in operations
        and len(each.split("/")) == len(words)
        and all(
            own.startswith("{") or own == word
            for own, word in zip(each.split("/"), words, strict=True)
        )
    ]
    return min(fitting, key=lambda each: each.count("{"))


async def test_every_route_is_described_and_answers_as_it_is_described(node):
    async with node.call("GET", "/api/openapi.json") as response:
        document = await response.json()
    seen = set()
    for method, path, body, status in CALLS:
        async with node.call(method, path, body) as response:
            told = await response.text()
            assert response.status == status, f"{method} {path}: {told[:200]}"
            pattern = pattern_of(document, method, path)
            seen.add((method, pattern))
            described = document["paths"][pattern][method.lower()]["responses"]
            assert str(status) in described, f"{method} {pattern} does not say {status}"
            content = described[str(status)]["content"]
            assert response.content_type in content, f"{method} {pattern}"
            if response.content_type == "application/json":
                schema = {**content["application/json"]["schema"], "components": None}
                schema["components"] = document["components"]
                found = [
                    f"{error.json_path}: {error.message}"
                    for error in Draft202012Validator(schema).iter_errors(await response.json())
                ]
                assert not found, f"{method} {path}: {found}"
    described = {
        (method.upper(), path)
        for path, operations in document["paths"].items()
        for method in operations
    }
    assert described == seen


async def test_a_setting_is_changed_by_the_api_and_the_file_keeps_its_comment(node, file):
    change = await node.ask(node.client.put_setting, "slots", 3)
    assert (change.setting.value, change.reloaded.now) == (3, ("slots",))
    assert file.read_text().startswith("# mine\n")
    assert "slots = 3" in file.read_text()
    report = await node.ask(node.client.config)
    assert next(row for row in report.settings if row.name == "slots").source == "file"
    assert (await node.ask(node.client.status)).slots == 3
    with pytest.raises(ConfigError, match="did you mean 'slots'"):
        await node.ask(node.client.put_setting, "slotz", 3)
    schema = await node.ask(node.client.config_schema)
    assert schema.json_schema["properties"]["slots"]


async def test_a_pull_that_fails_tells_why(node):
    view = await node.ask(node.client.pull, PullOrder(model="owner/none"))
    async with asyncio.timeout(60):
        while not (found := (await node.ask(node.client.pulls)).pulls[0]).ended_at:
            await asyncio.sleep(0.01)
    assert (found.id, found.state) == (view.id, "failed")
    assert 'downloads="never"' in found.error
    assert (await node.ask(node.client.cancel_pull, view.id)).state == "failed"


async def test_the_catalogue_is_listed_and_what_is_not_here_cannot_go(node):
    listed = await node.ask(node.client.models)
    assert any(model.source == "catalogue" for model in listed.models)
    with pytest.raises(AgentError, match="is not here"):
        await node.ask(node.client.remove_model, "owner/none")
    with pytest.raises(AgentError, match="no engine here has the model"):
        await node.ask(node.client.load_model, "owner/none")
    with pytest.raises(AgentError, match="does not name"):
        await node.ask(node.client.unserve_model, "owner/none")


async def test_the_log_is_told_with_whoever_changed_something(node):
    await node.ask(node.client.put_setting, "queue", 5)
    told = await node.ask(node.client.logs)
    line = next(line for line in told.lines if line.event == "control request")
    assert line.actor.startswith(f"uid {os.getuid()}")
    assert (line.method, line.path, line.status) == ("PUT", "/api/config/queue", 200)
    async with node.call("GET", "/api/logs?follow=true&lines=0&level=info") as response:
        await node.ask(node.client.put_setting, "queue", 6)
        async with asyncio.timeout(60):
            text = await response.content.readuntil(b"/api/config/queue")
    assert b"event: log" in text
    assert (await node.ask(node.client.version)).agent_version


def test_a_node_without_a_file_of_settings_shows_what_it_was_given():
    from byoi_agent.daemon.control import _as_given

    given = _as_given(Settings(slots=3))
    assert given.values.slots == 3
    assert set(given.sources.values()) == {"default"}
