from __future__ import annotations

import asyncio
import contextlib

import pytest

from byoi_agent.engine.address import EngineAddress
from byoi_agent.engine.client import IDLE_LIMIT, EngineClient
from byoi_agent.errors import EngineError

EVENTS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.fixture
async def clients():
    made = []

    def make(url, **settings):
        made.append(EngineClient(EngineAddress.parse(url, **settings)))
        return made[-1]

    yield make
    for client in made:
        await client.close()


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
    await client.fetch("GET", "/", timeout_seconds=5)
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
    await client.fetch("GET", "/", timeout_seconds=5)
    handler = hearing()
    exchange = await post(client, handler)
    exchange.pause()
    exchange.resume()
    assert await handler.over == "ended"
    exchange.abort()
    await client.fetch("GET", "/", timeout_seconds=5)
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
    await client.fetch("GET", "/", timeout_seconds=5)
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
    await client.fetch("GET", "/", timeout_seconds=5)
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
            tasks.create_task(client.fetch("GET", "/", timeout_seconds=10))
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
    fetched = await client.fetch("GET", "/v1/models", timeout_seconds=5)
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
        await clients(server.url).fetch("GET", "/", timeout_seconds=10)


async def test_a_prefix_and_a_key_go_with_every_request(serve, answer, clients):
    async def script(request, writer):
        writer.write(answer())

    server = await serve(script, tcp=True)
    client = clients(server.url + "/openai/v1/", api_key="secret")
    await client.fetch("GET", "/v1/models", timeout_seconds=5)
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
    await client.fetch("GET", "/", timeout_seconds=5)
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
    fetched = await client.fetch("POST", "/tokenize", b"{}", timeout_seconds=5)
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
