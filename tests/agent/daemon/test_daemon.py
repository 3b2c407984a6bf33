from __future__ import annotations

import asyncio
import base64
import json
import os
import signal

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from byoi_agent.config.paths import prepare, resolve
from byoi_agent.config.settings import Settings
from byoi_agent.control.client import ControlClient
from byoi_agent.control.instances import read_place
from byoi_agent.daemon.daemon import Daemon, salt_secret
from byoi_agent.errors import ConfigError
from byoi_agent.identity.keys import Identity, raw_public_key
from byoi_agent.link.supervisor import LinkStopped
from byoi_agent.link.view import LinkView


def an_identity():
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
async def engine():
    async def models(_request):
        return web.json_response({"data": [{"id": "smol"}]})

    async def chat(_request):
        return web.json_response({"choices": [{"message": {"content": "Hi"}}]})

    app = web.Application()
    app.router.add_get("/v1/models", models)
    app.router.add_post("/v1/chat/completions", chat)
    server = TestServer(app)
    await server.start_server()
    yield str(server.make_url("/v1"))
    await server.close()


@pytest.fixture
def paths(tmp_path):
    settings = Settings(
        data_dir=tmp_path / "d", cache_dir=tmp_path / "c", runtime_dir=tmp_path / "r"
    )
    made = resolve(settings, {})
    prepare(made)
    return made


@pytest.fixture
def identity():
    return an_identity()


@pytest.fixture
def daemon(engine, paths, identity, tmp_path):
    return Daemon(Settings(engine=engine), paths, identity, ready_file=tmp_path / "ready.json")


async def until(holds):
    async with asyncio.timeout(60):
        while not (found := holds()):
            await asyncio.sleep(0.01)
    return found


async def test_a_node_without_its_console_runs_answers_its_owner_and_stops(daemon, paths, tmp_path):
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(daemon.run())
        place = await until(lambda: read_place(paths.control_file))
        client = ControlClient.at(place)

        async def engine_is_ready():
            return (await asyncio.to_thread(client.status)).engine.state == "ready"

        async with asyncio.timeout(60):
            while not await engine_is_ready():
                await asyncio.sleep(0.01)
        report = await asyncio.to_thread(client.status)
        offer = await asyncio.to_thread(client.offer)
        os.kill(os.getpid(), signal.SIGTERM)
    assert (report.node_id, report.is_serving, report.pid) == ("n1", False, os.getpid())
    assert report.engine.models == ("smol",)
    assert report.warnings[0].name == "key-in-file"
    assert [model.id for model in offer.models] == ["smol"]
    assert not paths.control_file.exists()
    assert not paths.control_socket.exists()
    assert not (tmp_path / "ready.json").exists()


async def test_once_it_serves_the_ready_file_says_how_to_reach_it(daemon, tmp_path):
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(daemon.run())
        await daemon._board.wait_until(lambda view: view.engine.state == "ready")
        daemon._board.update(link=LinkView("online"))
        await until((tmp_path / "ready.json").exists)
        told = json.loads((tmp_path / "ready.json").read_text())
        daemon.stop.ask()
    assert (told["node_id"], told["pid"]) == ("n1", os.getpid())
    assert told["control_url"].startswith("http://127.0.0.1:")
    assert told["control_token"]
    assert told["engine"]["kind"] == "attached"
    assert (tmp_path / "ready.json").stat().st_mode & 0o077 == 0


async def test_what_pays_is_judged_for_as_long_as_the_node_runs(daemon, monkeypatch):
    judged = asyncio.Event()

    async def run(clock):
        assert clock is daemon._clock
        judged.set()
        await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(daemon._accounts.costs, "run", run)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(daemon.run())
        async with asyncio.timeout(60):
            await judged.wait()
        daemon.stop.at_once()


async def test_a_console_that_ends_the_link_for_good_ends_the_node_with_its_code(
    daemon, paths, monkeypatch
):
    async def revoked():
        raise LinkStopped("revoked", "the console has revoked this node")

    monkeypatch.setattr(daemon._link, "run", revoked)
    with pytest.raises(LinkStopped) as caught:
        await daemon.run()
    assert caught.value.exit_code == 78
    assert not paths.control_file.exists()


async def test_a_fault_of_one_room_ends_the_node_loudly(daemon, paths, monkeypatch):
    async def broken():
        raise ZeroDivisionError

    monkeypatch.setattr(daemon._hardware, "run", broken)
    with pytest.raises(ExceptionGroup) as caught:
        await daemon.run()
    assert caught.group_contains(ZeroDivisionError)
    assert not paths.control_file.exists()


async def test_a_control_port_that_is_taken_is_told(engine, paths, identity):
    async with await asyncio.start_server(lambda *_: None, "127.0.0.1", 0) as taken:
        port = taken.sockets[0].getsockname()[1]
        with pytest.raises(ConfigError, match=str(port)):
            await Daemon(Settings(engine=engine, control_port=port), paths, identity).run()


def test_each_node_has_a_salt_of_its_own_that_tells_nothing_of_its_key(identity):
    salt = salt_secret(identity)
    assert salt == salt_secret(identity)
    assert salt != salt_secret(an_identity())
    assert salt != raw_public_key(identity.key)
    assert base64.b64encode(identity.key.private_bytes_raw()) not in base64.b64encode(salt)
