from __future__ import annotations

import asyncio
import json

import pytest

from byoi_console.gateway.connection import Budget, Times

UPGRADE = (
    b"GET /agent/v1/connect HTTP/1.1\r\nHost: x\r\n"
    b"Upgrade: WebSocket\r\nConnection: Upgrade\r\n\r\n"
)


async def test_pipelined_requests_are_answered_in_their_order(world):
    node = world.node()
    client = await world.client()
    client.send(world.chat() + world.get(b"/v1/models") + world.get(b"/page") + world.chat())
    stream = await node.session.next_stream()
    await asyncio.sleep(0.02)
    assert len(node.session.opened) == 1
    stream.stream_all("first")
    assert b"first" in (await client.answer())[2]
    assert b'"object": "list"' in (await client.answer())[2]
    assert (await client.answer())[2] == b"/page "
    (await node.session.next_stream()).stream_all("last")
    assert b"last" in (await client.answer())[2]


async def test_a_page_and_then_v1_share_a_connection(world):
    world.node()
    client = await world.client()
    client.send(world.get(b"/page"))
    assert (await client.answer())[2] == b"/page "
    client.send(world.get(b"/v1/models"))
    assert (await client.answer())[0] == 200
    client.send(world.get(b"/page"))
    assert (await client.answer())[0] == 200


@pytest.mark.parametrize("size", [1, 7, 100])
async def test_requests_in_small_pieces_are_the_same(world, size):
    node = world.node()
    node.session.auto = lambda stream: stream.stream_all("x")
    client = await world.client()
    data = world.chat()
    for start in range(0, len(data), size):
        client.send(data[start : start + size])
        await asyncio.sleep(0)
    assert (await client.answer())[0] == 200


async def test_thousands_of_pipelined_requests_do_no_harm(world):
    client = await world.client()
    client.send(world.get(b"/v1/models") * 2000)
    for _ in range(2000):
        assert (await client.answer())[0] == 200


async def test_the_agents_door_takes_the_transport_with_its_bytes(world):
    client = await world.client()
    client.send(UPGRADE + b"more")
    assert await client.ended() == b"door"
    assert world.agents == [(UPGRADE + b"more", "127.0.0.1")]


async def test_the_agents_door_opens_on_a_connection_already_used(world):
    client = await world.client()
    client.send(world.get(b"/v1/models"))
    await client.answer()
    client.send(UPGRADE)
    assert await client.ended() == b"door"


async def test_the_door_s_path_without_an_upgrade_is_the_app_s(world):
    assert (await world.ask(world.get(b"/agent/v1/connect")))[2] == b"/agent/v1/connect "
    assert not world.agents


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"hello\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 17_000, 431),
        (b"POST /v1/x HTTP/1.1\r\nContent-Length: 9000000\r\n\r\n" + b"x" * 300_000, 413),
        (b"POST /v1/x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffff\r\n" + b"x" * 9, 413),
        (b"POST / HTTP/1.1\r\nExpect: 200-ok\r\n\r\n", 417),
    ],
)
async def test_what_is_no_request_is_answered_and_the_connection_closed(world, data, expected):
    client = await world.client()
    client.send(data)
    status, headers, body = await client.answer()
    assert (status, headers["connection"]) == (expected, "close")
    assert json.loads(body)["error"]["type"] == "invalid_request_error"
    assert await client.ended() == b""


async def test_a_broken_request_behind_a_good_one_waits_its_turn(world):
    client = await world.client()
    client.send(world.get(b"/v1/models") + b"garbage\r\n\r\n")
    assert (await client.answer())[0] == 200
    assert (await client.answer())[0] == 400


@pytest.mark.parametrize(
    "data", [b"GET /v1/models HT", b"POST /v1/x HTTP/1.1\r\nContent-Length: 5\r\n\r\nab"]
)
async def test_a_request_that_does_not_arrive_in_time_is_408(make_world, data):
    async with make_world(times=Times(head=0.05, body=0.05)) as world:
        client = await world.client()
        client.send(data)
        status, _, _ = await client.answer()
        assert status == 408
        assert await client.ended() == b""


async def test_drops_that_keep_coming_do_not_buy_time(make_world):
    async with make_world(times=Times(head=0.1)) as world:
        client = await world.client()
        async with asyncio.timeout(60):
            while not client.reader.at_eof() and not client.reader._buffer:
                client.send(b"G" if not world.app_calls else b"")
                await asyncio.sleep(0.01)
        assert (await client.answer())[0] == 408


async def test_a_connection_without_requests_is_closed(make_world):
    async with make_world(times=Times(head=0.05)) as world:
        silent = await world.client()
        assert await silent.ended() == b""
    async with make_world(times=Times(idle=0.05)) as world:
        used = await world.client()
        used.send(world.get(b"/v1/models"))
        await used.answer()
        assert await used.ended() == b""


async def test_expect_100_is_answered_before_the_body(world):
    node = world.node()
    node.session.auto = lambda stream: stream.stream_all("x")
    client = await world.client()
    head, body = world.chat(headers=b"Expect: 100-continue\r\n").split(b"\r\n\r\n", 1)
    client.send(head + b"\r\n\r\n")
    assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.send(body)
    assert (await client.answer())[0] == 200


async def test_connection_close_is_kept(world):
    client = await world.client()
    request = world.get(b"/v1/models").replace(b"Host: x", b"Host: x\r\nConnection: close")
    client.send(request)
    _, headers, _ = await client.answer()
    assert headers["connection"] == "close"
    assert await client.ended() == b""


async def test_http_1_0_gets_its_stream_without_chunks(world):
    node = world.node()
    node.session.auto = lambda stream: stream.stream_all("x")
    client = await world.client()
    client.send(world.chat().replace(b"HTTP/1.1", b"HTTP/1.0"))
    _, headers = await client.head()
    assert "transfer-encoding" not in headers
    body = await client.ended()
    assert body.startswith(b"data: ")
    assert body.endswith(b"[DONE]\n\n")


async def test_bytes_far_ahead_are_read_no_further(world):
    node = world.node()
    client = await world.client()
    client.send(world.chat() + world.get(b"/v1/models") * 20_000)
    stream = await node.session.next_stream()
    await asyncio.sleep(0.1)
    (connection,) = world.front._connections
    assert connection._parser.unread < 1024 * 1024
    stream.stream_all("x")
    for _ in range(100):
        assert (await client.answer())[0] == 200


async def test_half_closed_clients_get_all_the_answers_they_asked_for(world):
    node = world.node()
    client = await world.client()
    client.send(world.chat() + world.get(b"/v1/models") + world.chat())
    client.writer.write_eof()
    (await node.session.next_stream()).stream_all("one")
    assert b"one" in (await client.answer())[2]
    assert (await client.answer())[0] == 200
    (await node.session.next_stream()).stream_all("two")
    assert b"two" in (await client.answer())[2]
    assert await client.ended() == b""


async def test_bodies_of_all_connections_together_have_a_limit(make_world):
    async with make_world(budget=(budget := Budget(200_000))) as world:
        head = b"POST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 150000\r\n\r\n"
        first = await world.client()
        first.send(head + b"x" * 149_000)
        while budget._left > 51_000:
            await asyncio.sleep(0.001)
        second = await world.client()
        second.send(head + b"x" * 149_000)
        assert (await second.answer())[0] == 503
        first.send(b"x" * 1000)
        assert (await first.answer())[0] == 404
        third = await world.client()
        third.send(head + b"x" * 150_000)
        assert (await third.answer())[0] == 404
