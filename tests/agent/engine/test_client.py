from __future__ import annotations

import asyncio
import contextlib

import pytest

from byoi_agent.engine.address import EngineAddress
from byoi_agent.engine.client import IDLE_LIMIT
from byoi_agent.errors import EngineError

EVENTS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


async def post(client, handler, body=b"{}"):
    return await client.send("POST", "/v1/x", {"content-type": "application/json"}, body, handler)


async def test_an_answer_comes_piece_by_piece_and_its_connection_is_used_again(
    serve, answer, clients, hearing
):
    async def script(request, writer):
        writer.write(EVENTS + b"9\r\ndata: a\n\n\r\n" if request.nth == 0 else answer(b"second"))
        await writer.drain()
        if request.nth == 0:
            await first.some.wait()
            writer.write(b"9\r\ndata: b\n\n\r\n0\r\n\r\n")

    server = await serve(script)
    client = clients(server.url)
    first, second = hearing(), hearing()
    await post(client, first, b'{"a":1}')
    assert client.running == 1
    assert await first.over == "ended"
    await post(client, second)
    assert await second.over == "ended"
    assert (first.status, bytes(first.body)) == (200, b"data: a\n\ndata: b\n\n")
    assert first.headers["content-type"] == "text/event-stream"
    assert second.body == b"second"
    assert server.connections == 1
    assert client.running == 0
    assert client.received_bytes > len(first.body) + len(second.body)
    request = server.requests[0]
    assert request.line == "POST /v1/x HTTP/1.1"
    assert request.body == b'{"a":1}'
    assert "accept-encoding" not in request.headers


async def test_no_more_connections_are_kept_than_allowed(serve, answer, clients):
    everyone = asyncio.Event()

    async def script(request, writer):
        if len(server.requests) == IDLE_LIMIT + 4:
            everyone.set()
        await everyone.wait()
        writer.write(answer())

    server = await serve(script)
    client = clients(server.url)
    async with asyncio.TaskGroup() as tasks:
        for _ in range(IDLE_LIMIT + 4):
            tasks.create_task(client.fetch("GET", "/", timeout_seconds=60))
    while server.open > IDLE_LIMIT:
        server.gone.clear()
        await server.gone.wait()
    assert server.open == IDLE_LIMIT


async def test_closing_fails_what_is_under_way(serve, clients, hearing):
    async def script(request, writer):
        arrived.set()

    arrived = asyncio.Event()
    client = clients((await serve(script)).url)
    handler = hearing()
    await post(client, handler)
    await arrived.wait()
    await client.close()
    assert isinstance(await handler.over, EngineError)


async def test_nobody_there_is_an_engine_error(clients, hearing, socket_folder):
    client = clients(f"unix://{socket_folder}/none.sock")
    with pytest.raises(EngineError, match="cannot connect"):
        await post(client, hearing())


async def test_fetch_gives_a_small_answer_whole(serve, answer, clients):
    async def script(request, writer):
        writer.write(answer(b"no", status=404, x_kind="a"))

    client = clients((await serve(script)).url)
    fetched = await client.fetch("GET", "/v1/models", timeout_seconds=60)
    assert (fetched.status, fetched.body, fetched.headers["x-kind"]) == (404, b"no", "a")


async def test_fetch_gives_up_after_its_time_and_closes(serve, clients):
    async def script(request, writer):
        pass

    server = await serve(script)
    with pytest.raises(EngineError, match="no answer from /slow in 0"):
        await clients(server.url).fetch("GET", "/slow", timeout_seconds=0.05)
    await server.gone.wait()


async def test_fetch_refuses_an_endless_answer(serve, clients):
    async def script(request, writer):
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"a" * 65536)
            await writer.drain()

    server = await serve(script)
    with pytest.raises(EngineError, match="too large"):
        await clients(server.url).fetch("GET", "/", timeout_seconds=60)


async def test_a_prefix_and_a_key_go_with_every_request(serve, answer, clients):
    async def script(request, writer):
        writer.write(answer())

    server = await serve(script, tcp=True)
    client = clients(server.url + "/openai/v1/", api_key="secret")
    await client.fetch("GET", "/v1/models", timeout_seconds=60)
    assert server.requests[0].line == "GET /openai/v1/models HTTP/1.1"
    assert server.requests[0].headers["authorization"] == "Bearer secret"
    assert server.requests[0].headers["host"] == server.url.removeprefix("http://")


async def test_cancelling_a_send_leaves_no_connection(serve, clients, hearing):
    async def script(request, writer):
        pass

    client = clients((await serve(script)).url)
    sending = asyncio.ensure_future(post(client, hearing()))
    await asyncio.sleep(0)
    sending.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await sending
    await client.close()
    assert client.running == 0


async def test_a_cut_ends_what_runs_and_what_is_still_connecting(
    serve, clients, hearing, monkeypatch, settled
):
    async def script(request, writer):
        """Never an answer."""

    server = await serve(script)
    client = clients(server.url)
    running = hearing()
    await post(client, running)
    gate, connect = asyncio.Event(), EngineAddress.connect

    async def slowly(address, protocol):
        connection = await connect(address, protocol)
        await gate.wait()
        return connection

    monkeypatch.setattr(EngineAddress, "connect", slowly)
    late = hearing()
    sending = asyncio.ensure_future(post(client, late))
    await settled()
    assert client.running >= 2
    client.cut()
    assert isinstance(await running.over, EngineError)
    gate.set()
    with pytest.raises(EngineError, match="being left"):
        await sending
    await settled()
    assert client.running == 0
    assert not late.over.done()
    assert len(server.requests) == 1


async def test_what_was_cut_on_a_kept_connection_is_not_asked_again(
    serve, answer, clients, hearing, running, settled
):
    async def script(request, writer):
        if request.nth == 0:
            writer.write(answer())

    server = await serve(script)
    client = clients(server.url)
    running(client.run())
    await client.fetch("GET", "/", timeout_seconds=60)
    handler = hearing()
    await post(client, handler)
    await settled()
    client.cut()
    assert "being left" in str(await handler.over)
    await settled()
    assert [request.connection for request in server.requests] == [0, 0]


async def test_what_is_asked_on_our_own_account_is_no_sign_of_life(serve, answer, clients):
    async def script(_request, writer):
        writer.write(answer(b'{"count": 3}'))

    client = clients((await serve(script)).url)
    fetched = await client.fetch("POST", "/tokenize", b"{}", timeout_seconds=60)
    assert fetched.body == b'{"count": 3}'
    assert client.received_bytes == 0


@pytest.mark.parametrize("turns", range(8))
async def test_a_request_given_up_while_it_connects_leaves_nothing_to_wait_for(
    serve, clients, hearing, turns
):
    async def script(request, writer):
        """Never an answer."""

    client = clients((await serve(script)).url)
    sending = asyncio.ensure_future(post(client, hearing()))
    for _ in range(turns):
        await asyncio.sleep(0)
    sending.cancel()
    await asyncio.wait({sending})
    if not sending.cancelled():
        sending.result().abort()
    async with asyncio.timeout(60):
        await client.close()
    assert client.running == 0
