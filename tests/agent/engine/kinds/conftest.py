"""An engine that answers from a table: path → (status, object), or a function of the request."""

from __future__ import annotations

import asyncio
import json

import pytest

from byoi_agent.engine.address import EngineAddress
from byoi_agent.engine.client import EngineClient


class Engine:
    """A table of answers, what was asked, and a client to it."""

    def __init__(self):
        self.table = {}
        self.asked = []
        self.hangs = set()
        self.client: EngineClient | None = None
        self.address: EngineAddress | None = None

    def paths(self):
        return [path for _, path, _ in self.asked]


@pytest.fixture
async def engine(serve, answer):
    it = Engine()

    async def script(request, writer):
        method, path, _ = request.line.split()
        body = json.loads(request.body) if request.body else None
        it.asked.append((method, path, body))
        if path in it.hangs:
            await asyncio.Event().wait()
        status, content = it.table.get(path, (404, {"detail": "Not Found"}))
        if callable(content):
            content = content(body)
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        writer.write(answer(raw, status))

    server = await serve(script)
    it.address = EngineAddress.parse(server.url)
    it.client = EngineClient(it.address)
    yield it
    await it.client.close()
