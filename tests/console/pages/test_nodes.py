from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import replace
from types import SimpleNamespace

import pytest

from byoi_console.accounts.sign_ins import COOKIE
from byoi_console.nodes.enrolment import JoinRequest
from byoi_console.pages.app import build_pages
from byoi_console.pages.nodes import Rows
from byoi_console.pages.viewers import VIEWERS_OF_ONE, Viewers


class Stream:
    """A page's event source, as the server's side of it."""

    def __init__(self, app, browser, target):
        path, _, query = target.partition("?")
        self.status = None
        self._app = app
        self._scope = {
            "type": "http",
            "method": "GET",
            "path": path,
            "query_string": query.encode(),
            "headers": [(b"cookie", f"{COOKIE}={browser.cookie}".encode())],
            "client": ("10.0.0.1", 1),
            "state": {},
        }
        self._events = asyncio.Queue()
        self._left = asyncio.Event()

    async def run(self):
        await self._app(self._scope, self._receive, self._send)
        await self._events.put(None)

    def leave(self):
        self._left.set()

    async def next(self):
        """The next event's name and data; None: the answer has ended."""
        async with asyncio.timeout(60):
            while (text := await self._events.get()) == ":\n\n":
                pass
        if text is None:
            return None
        name, data, *_ = text.split("\n")
        return name.removeprefix("event: "), json.loads(data.removeprefix("data: "))

    async def _receive(self):
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message):
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif message["body"]:
            await self._events.put(message["body"].decode())


@pytest.fixture
async def live(rooms, browser, person, enrolment, join_tokens, machine, clock):
    """The pages with live parts whose seconds the test gives by `tick`."""
    ticks = asyncio.Queue()

    async def sleep(seconds):
        await ticks.get()

    async def enrol():
        clock.seconds += 1.0  # the list has them in the order of their enrolment
        new = await join_tokens.create(person.org_id, "test")
        request = JoinRequest.model_validate(machine(new.token))
        return (await enrolment.join(request)).node_id

    viewers = Viewers(rooms.pictures.look, rooms.sign_ins.living, sleep=sleep)
    services = replace(rooms, viewers=viewers)
    app = build_pages(services)

    @asynccontextmanager
    async def watch(target="/nodes/events"):
        stream = Stream(app, browser, target)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(stream.run())
            yield stream
            stream.leave()
            await asyncio.wait({running}, timeout=60)
            running.cancel()

    running = asyncio.get_running_loop().create_task(viewers.run())
    yield SimpleNamespace(
        tick=lambda: ticks.put_nowait(1), watch=watch, enrol=enrol, viewers=viewers, app=app
    )
    running.cancel()
    await asyncio.wait({running})


async def test_the_list_shows_every_node_and_the_empty_one_says_what_to_do(browser, live):
    assert "No node yet" in (await browser.get("/nodes")).text
    node_id = await live.enrol()
    text = (await browser.get("/nodes")).text
    assert f'id="row-{node_id}"' in text
    assert "workstation" in text
    assert "offline" in text


async def test_first_all_rows_are_told_and_then_only_what_changes(live, rooms, person):
    one, other = [await live.enrol() for _ in range(2)]
    async with live.watch() as stream:
        name, first = await stream.next()
        assert (name, first["order"]) == ("parts", [f"row-{one}", f"row-{other}"])
        assert set(first["parts"]) == set(first["order"])
        await rooms.administration.drain(other, person.person_id)
        live.tick()
        _, then = await stream.next()
        assert list(then["parts"]) == [f"row-{other}"]
        assert "drained" in then["parts"][f"row-{other}"]


async def test_a_deleted_node_leaves_the_order(live, rooms, person):
    one, other = [await live.enrol() for _ in range(2)]
    async with live.watch() as stream:
        await stream.next()
        await rooms.administration.delete(one, person.person_id)
        live.tick()
        assert await stream.next() == ("parts", {"parts": {}, "order": [f"row-{other}"]})


async def test_a_node_s_own_page_is_told_of_it_alone_and_of_its_end(live, rooms, person):
    one, other = [await live.enrol() for _ in range(2)]
    async with live.watch(f"/nodes/events?node={one}") as stream:
        _, first = await stream.next()
        assert list(first["parts"]) == ["now"]
        assert first["order"] is None
        await rooms.administration.drain(other, person.person_id)
        await rooms.administration.drain(one, person.person_id)
        live.tick()
        _, then = await stream.next()
        assert "drained" in then["parts"]["now"]
        await rooms.administration.delete(one, person.person_id)
        live.tick()
        assert await stream.next() == ("over", {})
        assert await stream.next() is None


async def test_whoever_signs_out_is_told_that_it_is_over(live, rooms, browser, person):
    await live.enrol()
    async with live.watch() as stream:
        await stream.next()
        sign_in = await rooms.sign_ins.look(browser.cookie)
        await rooms.sign_ins.end(person.person_id, sign_in.id)
        for _ in range(5):
            live.tick()
        assert await stream.next() == ("over", {})
        assert await stream.next() is None


async def test_a_console_that_stops_ends_the_stream_without_a_word(live):
    await live.enrol()
    async with live.watch() as stream:
        await stream.next()
        live.viewers.close()
        assert await stream.next() is None


async def test_a_page_that_is_left_is_forgotten(live, rooms, browser):
    sign_in = await rooms.sign_ins.look(browser.cookie)
    await live.enrol()
    for _ in range(VIEWERS_OF_ONE + 1):
        async with live.watch() as stream:
            await stream.next()
    assert live.viewers.has_room(sign_in.id)


async def test_more_pages_than_a_browser_may_have_open_are_refused(live):
    await live.enrol()
    streams = []
    async with asyncio.TaskGroup() as tasks:
        opened = [live.watch() for _ in range(VIEWERS_OF_ONE)]
        for one in opened:
            stream = await one.__aenter__()
            streams.append(stream)
            await stream.next()
        async with live.watch() as late:
            assert await late.next() is None
            assert late.status == 503
        for one in opened:
            tasks.create_task(one.__aexit__(None, None, None))


async def test_a_stranger_gets_no_stream(stranger):
    assert (await stranger.get("/nodes/events")).status == 303


def test_a_row_that_looks_as_before_is_not_drawn_again(monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "byoi_console.pages.nodes._macro", lambda name, view: drawn.append(view) or str(view)
    )
    rows, view = Rows(), SimpleNamespace(node_id="node_1", name="a")
    other = SimpleNamespace(node_id="node_1", name="b")
    assert rows.of((view,)) == rows.of((view,))
    assert rows.of((other,)) != rows.of((view,))
    assert drawn == [view, other, view]


def test_rows_of_nodes_that_are_gone_are_not_kept_for_ever(monkeypatch):
    monkeypatch.setattr("byoi_console.pages.nodes.ROWS_KEPT", 10)
    monkeypatch.setattr("byoi_console.pages.nodes._macro", lambda name, view: "")
    rows = Rows()
    for number in range(100):
        rows.of((SimpleNamespace(node_id=f"node_{number}"),))
        assert len(rows._drawn) <= 11
