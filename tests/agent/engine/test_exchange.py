from __future__ import annotations

import asyncio

import pytest

from byoi_agent.errors import EngineError

EVENTS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


async def post(client, handler, body=b"{}"):
    return await client.send("POST", "/v1/x", {"content-type": "application/json"}, body, handler)


async def test_a_kept_connection_that_was_closed_meanwhile_is_tried_again_once(
    serve, answer, clients, hearing, running
):
    async def script(request, writer):
        if request.connection == 0 and request.nth == 1:
            return False  # stale: the request was read, but too late
        writer.write(answer(b"fine"))
        return True

    server = await serve(script)
    client = clients(server.url)
    running(client.run())
    for _ in range(2):
        handler = hearing()
        await post(client, handler)
        assert await handler.over == "ended"
    assert [(r.connection, r.nth) for r in server.requests] == [(0, 0), (0, 1), (1, 0)]


async def test_the_second_try_is_the_last(serve, answer, clients, hearing, running):
    async def script(request, writer):
        if len(server.requests) > 1:
            return False
        writer.write(answer())
        return True

    server = await serve(script)
    client = clients(server.url)
    running(client.run())
    await client.fetch("GET", "/", timeout_seconds=60)
    handler = hearing()
    await post(client, handler)
    assert isinstance(await handler.over, EngineError)
    assert len(server.requests) == 3


async def test_a_second_try_keeps_a_pause_and_an_abort_is_final(
    serve, answer, clients, hearing, running
):
    async def script(request, writer):
        if request.connection == 0 and request.nth == 1:
            return False
        writer.write(answer(b"x"))
        return True

    server = await serve(script)
    client = clients(server.url)
    running(client.run())
    await client.fetch("GET", "/", timeout_seconds=60)
    handler = hearing()
    exchange = await post(client, handler)
    exchange.pause()
    exchange.resume()
    assert await handler.over == "ended"
    exchange.abort()
    await client.fetch("GET", "/", timeout_seconds=60)
    assert server.connections == 2


async def test_without_anybody_running_the_client_a_stale_connection_fails(
    serve, answer, clients, hearing
):
    async def script(request, writer):
        if request.nth == 1:
            return False
        writer.write(answer())
        return True

    server = await serve(script)
    client = clients(server.url)
    await client.fetch("GET", "/", timeout_seconds=60)
    handler = hearing()
    await post(client, handler)
    assert isinstance(await handler.over, EngineError)


async def test_a_connection_that_dies_within_an_answer_is_not_tried_again(
    serve, answer, clients, hearing, running
):
    async def script(request, writer):
        writer.write(answer() if request.nth == 0 else EVENTS + b"9\r\ndata: a\n\n\r\n")
        return request.nth == 0

    server = await serve(script)
    client = clients(server.url)
    running(client.run())
    await client.fetch("GET", "/", timeout_seconds=60)
    handler = hearing()
    await post(client, handler)
    assert "closed the connection" in str(await handler.over)
    assert handler.body == b"data: a\n\n"
    assert len(server.requests) == 2


async def test_an_answer_without_a_length_ends_with_its_connection(serve, clients, hearing):
    async def script(request, writer):
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nall of it")
        return False

    client = clients((await serve(script)).url)
    handler = hearing()
    await post(client, handler)
    assert await handler.over == "ended"
    assert handler.body == b"all of it"


@pytest.mark.parametrize(
    ("raw", "cause"),
    [
        (
            b"HTTP/1.1 302 Found\r\nlocation: http://elsewhere/\r\ncontent-length: 0\r\n\r\n",
            "redir",
        ),
        (b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 1\r\n\r\nx", "gzip"),
        (b"SSH-2.0-OpenSSH\r\n", "broke HTTP"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"a" * 70_000, "too large"),
    ],
)
async def test_what_an_engine_has_no_business_to_answer_fails(serve, clients, hearing, raw, cause):
    async def script(request, writer):
        writer.write(raw)

    server = await serve(script)
    handler = hearing()
    await post(clients(server.url), handler)
    assert cause in str(await handler.over)
    await server.gone.wait()
    assert not handler.body


async def test_a_pause_holds_the_engine_back_until_resumed(serve, clients, hearing):
    size = 16 * 1024 * 1024
    written = asyncio.Event()

    async def script(request, writer):
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size)
        writer.transport.set_write_buffer_limits(high=0)
        for _ in range(16):
            writer.write(b"a" * (size // 16))
            await writer.drain()
        written.set()

    server = await serve(script)
    client = clients(server.url)
    handler = hearing()
    exchange = await post(client, handler)
    handler.on_body = exchange.pause
    await handler.some.wait()
    for _ in range(200):
        await asyncio.sleep(0)
    assert len(handler.body) < size // 4
    assert not written.is_set()
    handler.on_body = lambda: None
    exchange.resume()
    assert await handler.over == "ended"
    assert len(handler.body) == size


@pytest.mark.parametrize("within", [True, False])
async def test_an_abort_closes_the_connection_and_the_handler_hears_no_more(
    serve, clients, hearing, within
):
    async def script(request, writer):
        writer.write(EVENTS + b"9\r\ndata: a\n\n\r\n9\r\ndata: b\n\n\r\n")
        await writer.drain()

    server = await serve(script)
    client = clients(server.url)
    handler = hearing()
    exchange = await post(client, handler)
    if within:
        handler.on_body = exchange.abort
    await handler.some.wait()
    exchange.abort()
    exchange.pause()
    exchange.resume()
    await server.gone.wait()
    assert not handler.over.done()
    assert bytes(handler.body).startswith(b"data: a\n\n")
    assert within is (handler.body == b"data: a\n\n")


async def test_bytes_after_an_answer_spoil_the_connection_but_not_the_answer(
    serve, answer, clients, hearing
):
    async def script(request, writer):
        writer.write(answer(b"good") + b"HTTP/1.1 200 OK\r\n")

    server = await serve(script)
    handler = hearing()
    await post(clients(server.url), handler)
    assert await handler.over == "ended"
    await server.gone.wait()
