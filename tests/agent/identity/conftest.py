from __future__ import annotations

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


@pytest.fixture
def key():
    return Ed25519PrivateKey.generate()


class Clock:
    """Nobody waits: time goes on to whatever is waited for."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now

    def wall(self):
        return 1_700_000_000.0 + self.now

    async def sleep_until(self, at):
        self.now = max(self.now, at)


@pytest.fixture
def clock():
    return Clock()


class Console:
    """A console's HTTP door: answers by path what the test has put there, and remembers."""

    def __init__(self):
        self.answers = {}
        self.asked = []
        self.url = ""

    def will(self, path, *answers):
        """Answer in this order: a status with a JSON body, or a function of the question."""
        self.answers.setdefault(path, []).extend(answers)

    def bodies(self, path):
        return [body for asked, body in self.asked if asked == path]

    async def door(self, request):
        body = await request.json()
        self.asked.append((request.path, body))
        waiting = self.answers.get(request.path)
        if not waiting:
            return web.Response(status=404, text="<html>")
        answer = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        status, content = answer(body) if callable(answer) else answer
        return web.json_response(content, status=status)


@pytest.fixture
async def console():
    door = Console()
    app = web.Application()
    app.router.add_post("/{path:.*}", door.door)
    server = TestServer(app)
    await server.start_server()
    door.url = str(server.make_url("/")).rstrip("/")
    yield door
    await server.close()
