from __future__ import annotations

import pytest

from byoi_agent.engine.gauge import GAUGE_SECONDS, Gauge
from byoi_agent.engine.kinds.metrics import ask_load
from byoi_agent.engine.view import EngineLoad


@pytest.fixture
def gauge(stage, clock):
    """A gauge at a server, and what it has published."""

    def make(url):
        kind = stage(start=False).kind
        kind.address = type(kind.address).parse(url)
        kind.load = ask_load
        told = []
        return Gauge(kind, clock, told.append), told

    return make


async def test_it_asks_every_few_seconds_on_one_connection(gauge, serve, answer, running, clock):
    async def script(request, writer):
        writer.write(answer(f"llamacpp:requests_processing {len(server.requests)}\n".encode()))

    server = await serve(script)
    it, told = gauge(server.url)
    running(it.run())
    while len(told) < 3:
        await clock.advance(GAUGE_SECONDS)
    assert told[:3] == [EngineLoad(running=n) for n in (1, 2, 3)]
    assert server.connections == 1


async def test_an_engine_without_numbers_is_not_asked_again(gauge, serve, answer):
    async def script(request, writer):
        writer.write(answer(b"", 404))

    server = await serve(script)
    it, told = gauge(server.url)
    await it.run()
    assert told == [None]
    assert len(server.requests) == 1


async def test_numbers_that_fail_once_are_asked_for_again(gauge, serve, answer, running, clock):
    async def script(request, writer):
        status = 500 if len(server.requests) == 2 else 200
        writer.write(answer(b"llamacpp:requests_processing 1\n", status))

    server = await serve(script)
    it, told = gauge(server.url)
    running(it.run())
    while len(told) < 3:
        await clock.advance(GAUGE_SECONDS)
    assert told[:3] == [EngineLoad(running=1), None, EngineLoad(running=1)]
