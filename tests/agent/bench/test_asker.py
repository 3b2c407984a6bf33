from __future__ import annotations

import asyncio

import pytest

from byoi_agent.bench.asker import EngineAsker
from byoi_agent.bench.reader import AnswerReader
from byoi_agent.errors import EngineError


class Client:
    """Writes down what is sent; its exchanges know whether they were given up."""

    def __init__(self, failure=None):
        self.failure = failure
        self.sent = []
        self.is_aborted = False

    async def send(self, *request):
        if self.failure is not None:
            raise self.failure
        self.sent.append(request)
        return self

    def abort(self):
        self.is_aborted = True


@pytest.fixture
def reader():
    return AnswerReader(lambda: 1.0)


async def test_a_request_lasts_until_its_answer_is_over(reader):
    client = Client()
    async with asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(EngineAsker(client)(b"{}", reader))
        await asyncio.sleep(0)
        method, path, headers, body, handler = client.sent[0]
        assert (method, path, body) == ("POST", "/v1/chat/completions", b"{}")
        assert headers["content-type"] == "application/json"
        assert handler is reader
        assert not asking.done()
        reader.failed(EngineError("lost"))


async def test_no_connection_is_in_the_answer(reader):
    await EngineAsker(Client(EngineError("cannot connect")))(b"{}", reader)
    assert reader.answer().failure == "cannot connect"


async def test_giving_up_ends_the_request_at_the_engine(reader):
    client = Client()
    async with asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(EngineAsker(client)(b"{}", reader))
        await asyncio.sleep(0)
        asking.cancel()
    assert client.is_aborted


async def test_beyond_its_slots_requests_wait_in_the_order_in_which_they_came():
    client = Client()
    ask = EngineAsker(client, slots=2)
    readers = [AnswerReader(lambda: 1.0) for _ in range(4)]
    async with asyncio.TaskGroup() as tasks:
        for reader in readers:
            tasks.create_task(ask(b"{}", reader))
        for ended in range(4):
            for _ in range(5):
                await asyncio.sleep(0)
            assert [request[4] for request in client.sent] == readers[: ended + 2]
            readers[ended].failed(EngineError("lost"))
