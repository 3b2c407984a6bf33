from __future__ import annotations

import asyncio
import os

import pytest

from byoi_agent.cli import parent


@pytest.fixture
def pipe(monkeypatch):
    reader, writer = os.pipe()

    class Stdin:
        def fileno(self):
            return reader

    monkeypatch.setattr(parent.sys, "stdin", Stdin())
    yield writer
    os.close(reader)


async def test_the_end_of_standard_input_is_told(pipe):
    ended = asyncio.Event()
    parent.when_stdin_ends(asyncio.get_running_loop(), ended.set)
    os.write(pipe, b"words mean nothing")
    os.close(pipe)
    async with asyncio.timeout(60):
        await ended.wait()
