from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

if TYPE_CHECKING:
    from starlette.requests import Request


async def echo(request: Request) -> PlainTextResponse:
    body = await request.body()
    told = f"{request.method} {request.url.path} {request.query_params} {body.decode()}"
    return PlainTextResponse(told, headers={"x-seen": request.headers["x-mine"]})


def with_routes(world, *routes):
    world.front._app = Starlette(routes=list(routes))


async def test_a_starlette_app_sees_the_request_and_answers(world):
    with_routes(world, Route("/a b", echo, methods=["POST"]))
    status, headers, body = await world.ask(
        world.post(b"/a%20b?c=d", b"hello", headers=b"X-Mine: 1\r\n")
    )
    assert (status, headers["x-seen"]) == (200, "1")
    assert body == b"POST /a b c=d hello"
    assert headers["content-length"] == str(len(body))


async def test_unknown_pages_are_the_app_s_own_404(world):
    with_routes(world)
    assert (await world.ask(world.get(b"/nothing")))[0] == 404


async def test_head_is_answered_without_a_body(world):
    async def page(request: Request) -> PlainTextResponse:
        return PlainTextResponse("text")

    with_routes(world, Route("/p", page))
    client = await world.client()
    client.send(world.get(b"/p", method=b"HEAD") + world.get(b"/p"))
    _, headers, _ = await client.answer("HEAD")
    assert headers["content-length"] == "4"
    assert (await client.answer())[2] == b"text"


async def test_events_stream_until_the_client_leaves(world):
    ended = asyncio.Event()

    async def events():
        try:
            while True:
                yield "data: x\n\n"
                await asyncio.sleep(0.01)
        finally:
            ended.set()

    async def page(request: Request) -> StreamingResponse:
        return StreamingResponse(events(), media_type="text/event-stream")

    with_routes(world, Route("/live", page))
    client = await world.client()
    client.send(world.get(b"/live"))
    await client.head()
    assert await client.chunk() == b"data: x\n\n"
    client.close()
    async with asyncio.timeout(60):
        await ended.wait()


async def test_a_client_that_leaves_in_silence_is_told_to_the_app(world):
    asked, gone = asyncio.Event(), asyncio.Event()

    async def app(scope, receive, send):
        await receive()
        asked.set()
        assert (await receive())["type"] == "http.disconnect"
        gone.set()

    world.front._app = app
    client = await world.client()
    client.send(world.get(b"/wait"))
    await asked.wait()
    client.abort()
    async with asyncio.timeout(60):
        await gone.wait()


async def test_an_app_that_writes_much_waits_for_its_reader(world):
    written = [0]

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(400):
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
            written[0] += 1
        await send({"type": "http.response.body"})

    world.front._app = app
    client = await world.client()
    client.writer.transport.pause_reading()
    client.send(world.get(b"/much"))
    await asyncio.sleep(0.3)
    assert written[0] < 400
    client.writer.transport.resume_reading()
    _, _, body = await client.answer()
    assert len(body) == 400 * 65536


async def test_every_answer_has_a_name_that_the_app_knows_too(world):
    async def page(request: Request) -> PlainTextResponse:
        return PlainTextResponse(request.state.request_id)

    with_routes(world, Route("/p", page, methods=["POST"]))
    _, headers, body = await world.ask(world.post(b"/p", b"", headers=b"x-request-id: mine\r\n"))
    assert headers["x-request-id"] == body.decode()
    assert headers["x-request-id"].startswith("req_")
    _, headers, _ = await world.ask(world.get(b"/nothing"))
    assert headers["x-request-id"].startswith("req_")


async def test_a_fault_of_the_app_is_in_the_log_although_it_was_answered(world, caplog):
    async def page(request: Request) -> PlainTextResponse:
        raise RuntimeError("a fault")

    with_routes(world, Route("/p", page))
    status, headers, _ = await world.ask(world.get(b"/p"))
    assert status == 500
    [record] = [record for record in caplog.records if record.exc_info]
    assert record.request == headers["x-request-id"]
