from __future__ import annotations

import asyncio
import socket
import stat
from functools import partial

import aiohttp
import pytest

from byoi_agent.control.client import ControlClient, NodeUnreachable
from byoi_agent.control.schema import KeyChange, MeasuredOrder, ReloadReport
from byoi_agent.control.server import ControlServer
from byoi_agent.control.services import ControlServices
from byoi_agent.errors import AgentError, ConfigError, IdentityError, LinkError
from byoi_agent.usage.report import UsageFilter
from byoi_wire.offers import Measured


async def ask_for(method, server, path, body=None, **headers):
    headers = {"authorization": f"Bearer {server.token}", **headers}
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, f"{server.url}{path}", data=body, headers=headers) as response,
    ):
        return response.status, await response.json()


get = partial(ask_for, "GET")
post = partial(ask_for, "POST")


async def test_the_socket_is_for_its_owner_and_group_and_needs_no_token(client, ask, tmp_path):
    assert stat.S_IMODE((tmp_path / "control.sock").stat().st_mode) == 0o660
    report = await ask(client.status)
    assert report.node_id == "n1"


async def test_over_loopback_the_token_is_needed(server):
    assert (await get(server, "/api/status"))[0] == 200
    status, body = await get(server, "/api/status", authorization="Bearer wrong")
    assert status == 401
    assert "n1" not in str(body)


@pytest.mark.parametrize("headers", [{"host": "evil.example"}, {"origin": "https://evil.example"}])
async def test_a_web_page_is_refused(server, headers):
    assert (await get(server, "/api/status", **headers))[0] == 403


async def test_an_unknown_route_and_a_fault_are_json_too(server, node):
    status, body = await get(server, "/api/none")
    assert (status, list(body)) == (404, ["error"])
    node.failure = ValueError("secret detail")
    status, body = await get(server, "/api/usage")
    assert status == 500
    assert "secret detail" not in str(body)


async def test_the_usage_filter_arrives(client, node, ask):
    table = await ask(client.usage, UsageFilter(since="2026-01-01", model="smol"))
    assert table.totals.total_tokens == 30
    assert node.asked == [UsageFilter("2026-01-01", "9999-99-99", "smol")]


async def test_what_the_node_cannot_answer_is_told(client, node, ask, agent_error):
    node.failure = agent_error
    with pytest.raises(AgentError, match="cannot be read now"):
        await ask(client.usage, UsageFilter())


async def test_the_offer_is_told_as_the_console_gets_it(client, ask):
    offer = await ask(client.offer)
    assert offer.version == 3


async def test_a_dead_nodes_socket_is_replaced_and_taken_away_at_the_end(node, tmp_path, ask):
    services = ControlServices(status=node.status, offer=node.offer, usage=node.usage)
    path = tmp_path / "c.sock"
    path.write_text("left over")
    async with ControlServer(services, path):
        assert (await ask(ControlClient(socket_path=str(path)).status)).node_id == "n1"
    assert not path.exists()


async def test_a_taken_port_is_an_error_with_its_mend(server, node):
    services = ControlServices(status=node.status, offer=node.offer, usage=node.usage)
    with pytest.raises(ConfigError, match="0 takes any free one"):
        async with ControlServer(services, None, port=server.port):
            pass


async def test_a_socket_that_cannot_be_made_is_an_error_and_leaves_no_port(node, tmp_path, ask):
    services = ControlServices(status=node.status, offer=node.offer, usage=node.usage)
    server = ControlServer(services, tmp_path / "none" / "c.sock")
    with pytest.raises(ConfigError, match="cannot be made"):
        async with server:
            pass
    with pytest.raises(NodeUnreachable):
        await ask(ControlClient(url=server.url, token=server.token).status)


async def test_the_place_of_a_node_is_all_that_a_client_needs(server, ask, tmp_path):
    place = server.place("n1", tmp_path)
    report = await ask(ControlClient(url=place.control_url, token=place.control_token).status)
    assert report.node_id == place.node_id
    assert server.token not in repr(server)


async def test_the_engine_is_told_to_sleep_and_to_wake(client, node, ask):
    await ask(client.sleep, 0.5)
    await ask(client.wake)
    assert node.orders == [("sleep", 0.5), ("wake",)]


async def test_of_several_the_one_that_was_named(client, node, ask):
    await ask(client.sleep, 0.5, "smol")
    await ask(client.wake, "smol")
    assert node.orders == [("sleep", 0.5, "smol"), ("wake", "smol")]
    with pytest.raises(AgentError, match="no engine here has the model none"):
        await ask(client.wake, "none")


@pytest.mark.parametrize("body", [b"", b"{}"])
async def test_sleep_without_a_time_gives_requests_half_a_minute(server, node, body):
    assert (await post(server, "/api/engine/sleep", body))[0] == 202
    assert node.orders == [("sleep", 30.0)]


@pytest.mark.parametrize("body", [b"[", b'{"within_seconds": -1}', b'{"now": true}', b"[1]"])
async def test_an_order_that_is_none_is_refused_with_what_it_may_be(server, node, body):
    status, answer = await post(server, "/api/engine/sleep", body)
    assert status == 400
    assert "within_seconds is a number" in answer["error"]["message"]
    assert not node.orders


async def test_a_stranger_cannot_put_the_engine_to_sleep(server, node):
    for path in ("/api/engine/sleep", "/api/engine/wake"):
        assert (await post(server, path, b"", authorization="Bearer wrong"))[0] == 401
        assert (await post(server, path, b"", origin="https://evil.example"))[0] == 403
    assert not node.orders


async def test_a_refused_order_is_told(server, ask):
    refused = ControlClient(url=server.url, token="wrong")
    with pytest.raises(AgentError, match="control token"):
        await ask(refused.wake)


async def test_settings_are_read_again_when_asked(node, tmp_path, ask):
    services = ControlServices(
        status=node.status,
        offer=node.offer,
        usage=node.usage,
        reload=lambda: ReloadReport(now=("slots",)),
    )
    async with ControlServer(services, tmp_path / "c.sock") as server:
        client = ControlClient(socket_path=str(server.socket_path))
        assert (await ask(client.reload)).now == ("slots",)
        assert (await post(server, "/api/reload", b"", authorization="Bearer wrong"))[0] == 401
        assert (await post(server, "/api/reload", b"", origin="https://evil.example"))[0] == 403


async def test_wrong_settings_are_told_and_end_nothing(node, tmp_path, ask):
    def refuse():
        raise ConfigError("unknown key 'slotz'")

    services = ControlServices(
        status=node.status, offer=node.offer, usage=node.usage, reload=refuse
    )
    async with ControlServer(services, tmp_path / "c.sock") as server:
        client = ControlClient(socket_path=str(server.socket_path))
        with pytest.raises(ConfigError, match="keeps its settings: unknown key 'slotz'"):
            await ask(client.reload)
        assert (await ask(client.status)).node_id == "n1"


FOUND = Measured(
    at_ms=1,
    engine="llamacpp 1",
    first_token_ms=20.0,
    decode_tokens_per_second=50.0,
    knee_concurrency=4,
    knee_tokens_per_second=100.0,
)


async def test_what_a_benchmark_found_is_handed_over(node, tmp_path, ask):
    kept = []
    services = ControlServices(
        status=node.status, offer=node.offer, usage=node.usage, keep_measured=kept.append
    )
    async with ControlServer(services, tmp_path / "c.sock") as server:
        order = MeasuredOrder(model="smol", measured=FOUND)
        await ask(ControlClient(socket_path=str(server.socket_path)).keep_measured, order)
        assert kept == [order]
        status, answer = await post(server, "/api/measured", b'{"model": "smol"}')
        assert (status, len(kept)) == (400, 1)
        assert "what was measured" in answer["error"]["message"]
        assert (await post(server, "/api/measured", b"", authorization="Bearer wrong"))[0] == 401


async def test_what_cannot_be_kept_is_told(node, tmp_path, ask, agent_error):
    def refuse(_order):
        raise agent_error

    services = ControlServices(
        status=node.status, offer=node.offer, usage=node.usage, keep_measured=refuse
    )
    async with ControlServer(services, tmp_path / "c.sock") as server:
        client = ControlClient(socket_path=str(server.socket_path))
        with pytest.raises(AgentError, match="cannot be read now"):
            await ask(client.keep_measured, MeasuredOrder(model="smol", measured=FOUND))


async def page(url, **headers):
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as response:
        return response.status, response.headers["content-type"], await response.text()


@pytest.fixture
async def measured(node, free_port):
    services = ControlServices(
        status=node.status, offer=node.offer, usage=node.usage, metrics=lambda: b"byoi_serving 1\n"
    )
    async with ControlServer(services, None, metrics_port=free_port) as server:
        yield server


@pytest.fixture
def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


async def test_figures_are_served_on_a_port_of_their_own_without_a_token(measured):
    base = f"http://127.0.0.1:{measured.metrics_port}"
    assert await page(f"{base}/metrics") == (
        200,
        "text/plain; version=0.0.4; charset=utf-8",
        "byoi_serving 1\n",
    )
    for path in ("/api/status", "/api/usage", "/api/offer"):
        assert (await page(base + path))[0] == 404


@pytest.mark.parametrize("headers", [{"host": "evil.example"}, {"origin": "https://evil.example"}])
async def test_a_web_page_gets_no_figures(measured, headers):
    assert (await page(f"http://127.0.0.1:{measured.metrics_port}/metrics", **headers))[0] == 403


async def test_figures_beside_the_api_need_its_token(measured):
    assert (await page(f"{measured.url}/metrics"))[0] == 401
    answer = await page(f"{measured.url}/metrics", authorization=f"Bearer {measured.token}")
    assert answer[0] == 200


async def test_a_taken_port_for_figures_is_an_error_and_leaves_no_other(server, node):
    services = ControlServices(status=node.status, offer=node.offer, usage=node.usage)
    with pytest.raises(ConfigError, match="metrics_port"):
        async with ControlServer(services, None, metrics_port=server.port):
            pass


async def test_the_owner_has_the_key_changed_and_waits_until_it_serves(node, tmp_path, ask):
    change = KeyChange(key_id="k2", fingerprint="1-2", key_store="keyring", is_in_use=True)

    async def rotate_key():
        return change

    services = ControlServices(
        status=node.status, offer=node.offer, usage=node.usage, rotate_key=rotate_key
    )
    async with ControlServer(services, tmp_path / "control.sock"):
        client = ControlClient(socket_path=str(tmp_path / "control.sock"))
        assert await ask(client.rotate_key) == change


@pytest.mark.parametrize(
    "error", [IdentityError("the console refused"), LinkError("it is down", retry=True)]
)
async def test_a_key_that_could_not_be_changed_is_told(node, tmp_path, ask, error):
    async def rotate_key():
        raise error

    services = ControlServices(
        status=node.status, offer=node.offer, usage=node.usage, rotate_key=rotate_key
    )
    async with ControlServer(services, tmp_path / "control.sock"):
        client = ControlClient(socket_path=str(tmp_path / "control.sock"))
        with pytest.raises(AgentError, match=str(error)):
            await ask(client.rotate_key)


async def test_what_is_no_http_leaves_nothing_in_the_log(server, caplog):
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nX: marker\0\r\n\r\n")
    assert b"400" in await reader.readline()
    writer.close()
    await writer.wait_closed()
    assert "marker" not in caplog.text
    assert not caplog.records
