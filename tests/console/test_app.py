from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import signal

import pytest

from byoi_console.accounts.audit import AuditLog
from byoi_console.accounts.people import People
from byoi_console.app import Stop, serve_console
from byoi_console.config import Settings
from byoi_console.errors import ConfigError


@pytest.fixture
def serving(tmp_path):
    """A console in this event loop, over one data folder; ends at once at the block's end."""

    @contextlib.asynccontextmanager
    async def serving(**settings):
        started = asyncio.get_running_loop().create_future()
        chosen = Settings(port=0, data_dir=tmp_path / "state", **settings)
        console = serve_console(chosen, started.set_result)
        async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
            running = tasks.create_task(console)
            await asyncio.wait({started, running}, return_when=asyncio.FIRST_COMPLETED)
            serving = await started
            try:
                yield serving.url, serving.stop
            finally:
                serving.stop.at_once()

    return serving


@pytest.fixture
async def basic(database, audit):
    """An administrator's credential; the console under test uses the same file."""
    admin = await People(database, audit).create_admin("ada@example.org")
    return "Basic " + base64.b64encode(f"{admin.email}:{admin.password}".encode()).decode()


async def test_from_nothing_to_a_node_s_identity_and_a_client_s_key(
    serving, send, machine, basic, database_url
):
    async with serving(database_url=database_url, origin="https://byoi.example") as (url, _):
        assert (await send(url, "GET", "/readyz"))[0] == 200
        status, made = await send(url, "POST", "/api/keys", {"name": "a"}, basic)
        assert status == 201
        key = f"Bearer {made['key']}"
        status, models = await send(url, "GET", "/v1/models", authorization=key)
        assert (status, models) == (200, {"object": "list", "data": []})
        _, token = await send(url, "POST", "/api/join-tokens", {}, basic)
        status, node = await send(url, "POST", "/agent/v1/token", machine(token["token"]))
        assert status == 200
        assert node["origin"] == "https://byoi.example"
        await send(url, "DELETE", f"/api/keys/{made['id']}", None, basic)
        assert (await send(url, "GET", "/v1/models", authorization=key))[0] == 401


async def test_without_an_origin_the_first_address_stays_the_name(
    serving, send, machine, basic, database_url
):
    origins, urls = set(), []
    for _ in range(2):
        async with serving(database_url=database_url) as (url, _):
            urls.append(url)
            _, token = await send(url, "POST", "/api/join-tokens", {}, basic)
            _, node = await send(url, "POST", "/agent/v1/token", machine(token["token"]))
            origins.add(node["origin"])
    assert origins == {urls[0]}


async def test_a_first_signal_lets_answers_end_and_refuses_new_ones(serving, send):
    async with serving() as (url, stop):
        host, _, port = url.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n")
        assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200")
        os.kill(os.getpid(), signal.SIGTERM)
        await stop.is_wanted.wait()
        assert await reader.read() == b"", "an idle connection is closed"
        writer.close()
    with pytest.raises(OSError):
        await send(url, "GET", "/healthz")


async def test_a_request_under_way_is_cut_by_the_second_signal(serving):
    async with serving() as (url, stop):
        host, _, port = url.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"POST /api/keys HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n{")
        await writer.drain()
        stop.ask()
        assert not stop.is_urgent.is_set()
        stop.ask()
        assert stop.is_urgent.is_set()
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()


async def test_an_address_that_cannot_be_listened_on_is_a_wrong_setting(serving, tmp_path):
    async with serving() as (url, _):
        port = int(url.rpartition(":")[2])
        taken = Settings(port=port, data_dir=tmp_path / "other")
        with pytest.raises(ConfigError, match="choose another with --port"):
            await serve_console(taken, lambda *_: None)
    assert not (tmp_path / "other").exists(), "nothing is made before it can serve"


async def test_the_audit_log_of_a_whole_life_is_whole(
    serving, send, machine, basic, database, database_url
):
    async with serving(database_url=database_url) as (url, _):
        _, made = await send(url, "POST", "/api/keys", {"name": "a"}, basic)
        await send(url, "DELETE", f"/api/keys/{made['id']}", None, basic)
        _, token = await send(url, "POST", "/api/join-tokens", {}, basic)
        _, node = await send(url, "POST", "/agent/v1/token", machine(token["token"]))
        await send(url, "POST", f"/api/nodes/{node['node_id']}/revoke", None, basic)
    assert await AuditLog(database).first_broken() is None


async def test_asking_twice_is_asking_urgently():
    stop = Stop()
    stop.ask()
    assert (stop.is_wanted.is_set(), stop.is_urgent.is_set()) == (True, False)
    stop.ask()
    assert stop.is_urgent.is_set()


async def test_pages_and_the_api_share_the_address(serving, send):
    async with serving() as (url, _):
        status, page = await send(url, "GET", "/sign-in")
        assert (status, page[:15]) == (200, b"<!doctype html>")
        assert (await send(url, "GET", "/"))[0] == 303
        for path in ("/api/keys", "/api/nothing", "/agent/v1/nothing", "/healthz"):
            assert isinstance((await send(url, "GET", path))[1], dict), f"{path} is for programs"
        for path in ("/apis", "/agents", "/healthz-page"):
            status, page = await send(url, "GET", path)
            assert (status, b"There is no such page" in page) == (404, True)
