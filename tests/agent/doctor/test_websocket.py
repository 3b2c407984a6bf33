from __future__ import annotations

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from byoi_agent.doctor import websocket
from byoi_agent.doctor.patient import RunningNode
from byoi_wire.version import PROTOCOL_VERSION


@pytest.fixture
async def door(monkeypatch):
    """Starts what answers at a console's door; returns the console's address."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    servers = []

    async def open_door(answer):
        app = web.Application()
        app.router.add_get("/agent/v1/connect", answer)
        servers.append(TestServer(app))
        await servers[-1].start_server()
        return str(servers[-1].make_url("")).rstrip("/")

    yield open_door
    for server in servers:
        await server.close()


async def console(request):
    response = web.WebSocketResponse(protocols=[PROTOCOL_VERSION])
    await response.prepare(request)
    await response.receive()
    return response


async def a_proxy_that_knows_none(_request):
    return web.Response(status=426)


async def test_a_websocket_that_comes_through(well, told, door):
    found = told(await websocket.check(well(console_url=await door(console))))
    assert found["websocket"].state == "ok"


async def test_one_that_does_not_is_told_with_what_to_change(well, told, door):
    url = await door(a_proxy_that_knows_none)
    found = told(await websocket.check(well(console_url=url)))["websocket"]
    assert found.state == "fail"
    assert "426" in found.text
    assert "Upgrade" in found.mend


async def test_an_address_that_would_carry_all_unencrypted(well, told):
    found = told(await websocket.check(well(console_url="http://console.example")))
    assert found["websocket"].state == "fail"


async def test_where_nobody_is_reached_others_tell_why(well, told, unused_tcp_port):
    url = f"http://127.0.0.1:{unused_tcp_port}"
    assert told(await websocket.check(well(console_url=url)))["websocket"].state == "skipped"


async def test_a_running_node_s_link_tells_more(well):
    assert await websocket.check(well()) == []
    patient = well(console_url="http://127.0.0.1:1", node=RunningNode("online"))
    assert await websocket.check(patient) == []
