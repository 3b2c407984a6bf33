from __future__ import annotations

import asyncio
import contextlib
import json
import socket

import pytest


async def test_a_fault_of_our_own_is_500_and_the_next_request_is_served(world, caplog):
    async def broken(scope, receive, send):
        if scope["path"] == "/broken":
            raise ValueError("secret")
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    world.front._app = broken
    status, headers, body = await world.ask(world.get(b"/broken"))
    assert status == 500
    assert b"secret" not in body
    assert json.loads(body)["error"]["code"] == "internal_error"
    assert headers["x-request-id"] in str([vars(record) for record in caplog.records])
    assert (await world.ask(world.get(b"/fine")))[0] == 204


async def test_a_fault_in_the_middle_of_an_answer_breaks_it_off(world):
    async def broken(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise ValueError("torn")

    world.front._app = broken
    client = await world.client()
    client.send(world.get(b"/broken"))
    await client.head()
    assert await client.ended() == b"4\r\nhalf\r\n"


async def test_draining_ends_answers_and_takes_no_new_connections(world):
    node = world.node()
    client, idle = await world.client(), await world.client()
    idle.send(world.get(b"/v1/models"))
    await idle.answer()
    client.send(world.chat())
    stream = await node.session.next_stream()
    drain = asyncio.create_task(world.front.drain(5))
    await asyncio.sleep(0.05)
    assert await idle.ended() == b""
    with pytest.raises(ConnectionError):
        await world.client()
    assert not drain.done()
    stream.stream_all("x")
    _, headers, body = await client.answer()
    assert headers["connection"] == "close"
    assert b"[DONE]" in body
    await drain
    assert await client.ended() == b""


async def test_a_connection_that_was_being_accepted_as_draining_began_gets_one_answer(world):
    """The listener's close leaves what it has accepted, and that is nobody's connection yet."""
    node = world.node()
    client = await world.client()
    client.send(world.chat())
    stream = await node.session.next_stream()
    drain = asyncio.create_task(world.front.drain(5))
    await asyncio.sleep(0)
    ours, theirs = socket.socketpair()
    await asyncio.get_running_loop().connect_accepted_socket(world.front._connect, ours)
    late = world.adopt(*await asyncio.open_connection(sock=theirs))
    late.send(world.get(b"/v1/models") * 2)
    status, headers, _ = await late.answer()
    assert (status, headers["connection"]) == (200, "close")
    assert await late.ended() == b""
    stream.stream_all("x")
    await drain


async def test_a_connection_that_was_being_accepted_as_the_front_ended_is_closed(
    make_world, caplog
):
    async with make_world() as world:
        pass
    ours, theirs = socket.socketpair()
    await asyncio.get_running_loop().connect_accepted_socket(world.front._connect, ours)
    late = world.adopt(*await asyncio.open_connection(sock=theirs))
    late.send(world.get(b"/v1/models"))
    with contextlib.suppress(ConnectionError):  # what was not read makes a reset of the end
        assert await late.ended() == b""
    late.close()
    assert not caplog.records


async def test_draining_ends_at_its_deadline(world):
    node = world.node()
    client = await world.client()
    client.send(world.chat())
    await node.session.next_stream()
    await world.front.drain(0.05)
    assert world.front.active == 1


async def test_the_front_s_end_cuts_answers_and_books_them(make_world):
    async with make_world() as world:
        node = world.node()
        client = await world.client()
        client.send(world.chat())
        stream = await node.session.next_stream()
        stream.answer_head()
        stream.say("a")
        await client.head()
    assert stream.resets
    assert [posting.outcome for posting in world.books.postings] == ["cancelled"]


@pytest.mark.parametrize(
    ("proxies", "peer", "scheme"),
    [(("127.0.0.1",), "203.0.113.9", "https"), ((), "127.0.0.1", "http")],
)
async def test_pages_and_the_door_see_the_peer_that_a_trusted_proxy_names(
    make_world, proxies, peer, scheme
):
    named = b"X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\n"
    async with make_world(proxies=proxies) as world:
        await world.ask(b"GET /page HTTP/1.1\r\nHost: x\r\n%b\r\n" % named)
        (scope,) = world.app_calls
        assert (scope["client"][0], scope["scheme"]) == (peer, scheme)
        client = await world.client()
        client.send(
            b"GET /agent/v1/connect HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n%b\r\n" % named
        )
        assert await client.ended() == b"door"
        assert world.agents[0][1] == peer
