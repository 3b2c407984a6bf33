from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

PROGRAM = str(Path(sys.executable).with_name("byoi-console"))


class Console:
    """`byoi-console` as processes of its own, over one data folder."""

    def __init__(self, folder, send):
        self.folder = folder
        self.call = send
        self.processes = []

    async def run(self, *arguments, stdin="", **variables):
        """One command to its end: exit code, stdout, stderr."""
        process = await self._start(arguments, variables)
        out, err = await asyncio.wait_for(process.communicate(stdin.encode()), 240)
        return process.returncode, out.decode(), err.decode()

    async def admin(self, email="ada@example.org"):
        command = ("admin", "create", "--email", email, "--json", "--data-dir", self.folder)
        code, out, err = await self.run(*command)
        assert code == 0, err
        return json.loads(out)

    async def serve(self, *arguments, **variables):
        """Start serving; returns the process and its URL once it is ready."""
        arguments = ("serve", "--port", "0", "--data-dir", self.folder, *arguments)
        process = await self._start(arguments, variables)
        line = await asyncio.wait_for(process.stdout.readline(), 240)
        assert line.startswith(b"byoi console serves at http://"), await process.stderr.read()
        return process, line.split()[-1].decode()

    async def _start(self, arguments, variables):
        process = await asyncio.create_subprocess_exec(
            PROGRAM,
            *map(str, arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **variables},
        )
        self.processes.append(process)
        return process


@pytest.fixture
async def console(tmp_path, send):
    console = Console(tmp_path / "state", send)
    yield console
    for process in console.processes:
        if process.returncode is None:
            process.kill()
        await process.communicate()
