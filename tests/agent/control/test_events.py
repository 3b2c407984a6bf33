from __future__ import annotations

import asyncio
import json

import aiohttp
import pytest

from byoi_agent.control.events import MOST_READERS, Events, Pace
from byoi_agent.control.feed import Event
from byoi_agent.control.schema import ReloadReport
from byoi_agent.control.server import ControlServer
from byoi_agent.control.services import ControlServices

QUICK = Pace(status=0.01, look=0.01, alive=0.03, write=1.0, stream=60.0)


class Board:
    """Whom the node's view is told."""

    def __init__(self):
        self.subscribers = []

    def subscribe(self, subscriber):
        self.subscribers.append(subscriber)
        return lambda: self.subscribers.remove(subscriber)

    def change(self):
        for subscriber in self.subscribers:
            subscriber(None)


@pytest.fixture
def board():
    return Board()


def build(node, events):
    return ControlServices(status=node.status, offer=node.offer, usage=node.usage, events=events)


@pytest.fixture
async def events(node, board):
    return Events(node.status, board.subscribe, QUICK)


@pytest.fixture
async def server(node, events):
    async with ControlServer(build(node, events), None) as running:
        yield running


@pytest.fixture
async def session(server):
    headers = {"Authorization": f"Bearer {server.token}"}
    async with aiohttp.ClientSession(headers=headers) as running:
        yield running


async def next_event(response):
    """The next event's name and data; signs of life are passed over."""
    async with asyncio.timeout(60):
        while True:
            lines = (await response.content.readuntil(b"\n\n")).decode().strip().split("\n")
            if lines[0].startswith(":"):
                continue
            name, *data = lines
            text = "\n".join(line.removeprefix("data: ") for line in data)
            return name.removeprefix("event: "), json.loads(text)


async def test_the_status_comes_at_once_and_upon_each_change(server, session, events, board, node):
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(server.run())
        async with session.get(f"{server.url}/api/events") as response:
            assert response.content_type == "text/event-stream"
            name, told = await next_event(response)
            assert (name, told["running"]) == ("status", 1)
            node.running = 2
            board.change()
            # The loop that looks may have told the first one once more before the change.
            while told["running"] == 1:
                name, told = await next_event(response)
            assert (name, told["running"]) == ("status", 2)
        running.cancel()
    assert not board.subscribers


async def test_a_status_that_only_grew_older_is_not_told_again(server, session, board, node):
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(server.run())
        async with session.get(f"{server.url}/api/events?kinds=status") as response:
            await next_event(response)
            node.uptime = 100.0
            board.change()
            async with asyncio.timeout(60):
                seen = await response.content.readuntil(b": still here")
        running.cancel()
    assert seen.count(b"event: status") <= 1


async def test_who_came_in_between_hears_that_it_is_again_as_the_others_were_told(node, board):
    looks_upon_change = Pace(status=0.0, look=60.0)
    events = Events(node.status, board.subscribe, looks_upon_change)
    async with ControlServer(build(node, events), None) as server, asyncio.TaskGroup() as tasks:
        running = tasks.create_task(server.run())
        headers = {"Authorization": f"Bearer {server.token}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            async with session.get(f"{server.url}/api/events") as first:
                assert (await next_event(first))[1]["running"] == 1
                board.change()
                assert (await next_event(first))[1]["running"] == 1
            node.running = 2
            async with session.get(f"{server.url}/api/events") as second:
                assert (await next_event(second))[1]["running"] == 2
                node.running = 1
                board.change()
                assert (await next_event(second))[1]["running"] == 1
        running.cancel()


async def test_only_what_was_asked_for_comes(server, session, events):
    async with session.get(f"{server.url}/api/events?kinds=log") as response:
        events.put(Event("pull", ReloadReport()))
        events.put(Event("log", ReloadReport(now=("slots",))))
        assert await next_event(response) == ("log", {"now": ["slots"], "at_restart": []})


@pytest.mark.parametrize("query", ["?kinds=none", "?kinds=", "?kind=log"])
async def test_a_kind_that_is_none_is_refused(server, session, query):
    async with session.get(f"{server.url}/api/events{query}") as response:
        assert response.status == 400
        assert "status, log, pull" in (await response.json())["error"]["message"]


async def test_open_pages_do_not_hold_up_the_end(node, events, helper):
    loop = asyncio.get_running_loop()

    async def end():
        async with ControlServer(build(node, events), None) as server:
            headers = {"Authorization": f"Bearer {server.token}"}
            session = aiohttp.ClientSession(headers=headers)
            response = await session.get(f"{server.url}/api/events")
            await next_event(response)
            began = loop.time()
        took = loop.time() - began
        async with asyncio.timeout(60):
            await response.content.read()  # and it ends well
        await session.close()
        return took

    await helper("promise").kept(0.9, end)


async def test_too_many_readers_are_told_and_one_that_left_makes_room(server, session, events):
    async with asyncio.TaskGroup(), asyncio.timeout(60):
        open_ones = [
            await session.get(f"{server.url}/api/events?kinds=log") for _ in range(MOST_READERS)
        ]
        async with session.get(f"{server.url}/api/events") as response:
            assert response.status == 503
        open_ones.pop().close()
        while True:
            response = await session.get(f"{server.url}/api/events")
            if response.status == 200:
                break
            response.close()
        for each in (response, *open_ones):
            each.close()


async def test_a_stream_ends_after_a_while_so_that_its_reader_must_ask_again(node, board):
    events = Events(node.status, board.subscribe, Pace(look=0.01, stream=0.02))
    async with ControlServer(build(node, events), None) as server:
        headers = {"Authorization": f"Bearer {server.token}"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.get(f"{server.url}/api/events") as response,
            asyncio.timeout(60),
        ):
            assert b"event: status" in await response.content.read()


async def test_a_reader_that_takes_nothing_is_cut(node, board):
    events = Events(node.status, board.subscribe, Pace(look=0.01, write=0.05))
    async with ControlServer(build(node, events), None) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1)
        writer.write(
            f"GET /api/events?kinds=log HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
            f"Authorization: Bearer {server.token}\r\n\r\n".encode()
        )
        await reader.readexactly(1)
        large = Event("log", ReloadReport(now=("x" * 1_000_000,)))
        async with asyncio.timeout(60):
            while not events.is_idle:
                events.put(large)
                await asyncio.sleep(0)
        writer.close()


async def test_text_of_several_lines_stays_one_event(server, session, events):
    async def hello(request):
        def show(event):
            return "page", f'["{event.data.now[0]}",\n"<b>"]'

        return await events.stream(request, {"log"}, show, [Event("log", ReloadReport(now=("a",)))])

    class Pages:
        def add(self, app, routes):
            app.router.add_get("/live", hello)

        def refuse(self, status, message):
            raise AssertionError(message)

    async with ControlServer(server.services, None, pages=Pages()) as paged:
        headers = {"Authorization": f"Bearer {paged.token}"}
        async with session.get(f"{paged.url}/live", headers=headers) as response:
            assert await next_event(response) == ("page", ["a", "<b>"])
