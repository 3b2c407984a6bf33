from __future__ import annotations

import asyncio
import json

from byoi_console.pages.event_stream import COMMENT, EventStream, event


class Client:
    """The other end of an answer, as ASGI has it."""

    def __init__(self):
        self.messages = []
        self.has_left = asyncio.Event()
        self.heard = asyncio.Event()

    async def receive(self):
        await self.has_left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message):
        if self.has_left.is_set():
            raise OSError("the client left")
        self.messages.append(message)
        self.heard.set()

    @property
    def body(self):
        return b"".join(message.get("body", b"") for message in self.messages[1:])


async def test_events_are_given_as_they_are_said_and_the_answer_ends_with_the_last():
    client = Client()

    async def tell(say):
        await say(event("parts", {"a": "<b>\n</b>"}))

    await EventStream(tell)({}, client.receive, client.send)
    head = dict(client.messages[0]["headers"])
    assert head[b"content-type"].startswith(b"text/event-stream")
    assert head[b"cache-control"] == b"no-store"
    assert client.body == COMMENT + b'event: parts\ndata: {"a":"<b>\\n</b>"}\n\n'
    assert client.messages[-1]["more_body"] is False


async def test_an_event_s_data_is_one_line_whatever_is_in_it():
    said = event("parts", {"text": "one\ntwo\r\n\n\u2028three"}).decode()
    name, data, *end = said.split("\n")
    assert (name, end) == ("event: parts", ["", ""])
    assert json.loads(data.removeprefix("data: ")) == {"text": "one\ntwo\r\n\n\u2028three"}


async def test_a_client_that_leaves_ends_the_telling_at_once():
    client, told, ended = Client(), asyncio.Event(), asyncio.Event()

    async def tell(say):
        told.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended.set()

    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        tasks.create_task(EventStream(tell)({}, client.receive, client.send))
        await told.wait()
        client.has_left.set()
    assert ended.is_set()


async def test_a_client_that_left_in_the_middle_of_an_event_is_no_fault():
    client = Client()

    async def tell(say):
        client.has_left.set()
        await say(b"data: 1\n\n")

    async with asyncio.timeout(60):
        await EventStream(tell)({}, client.receive, client.send)


async def test_the_head_leaves_before_there_is_anything_to_say():
    client = Client()

    async def tell(say):
        await asyncio.get_running_loop().create_future()

    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        telling = tasks.create_task(EventStream(tell)({}, client.receive, client.send))
        await client.heard.wait()
        while not client.body:
            await asyncio.sleep(0)
        telling.cancel()
    assert client.body == COMMENT
