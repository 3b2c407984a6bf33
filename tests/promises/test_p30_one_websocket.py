"""P30: a long-running agent that authenticates over one websocket, and serves through it alone."""

from __future__ import annotations

import asyncio

import psutil
import pytest

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_p30_many_requests_one_connection(shared, real):
    (node,) = [process for process in shared.processes if process.name == "real"]
    process = psutil.Process(node.pid)

    def to_console():
        return [
            connection.laddr.port
            for connection in process.net_connections("tcp")
            if connection.raddr and connection.raddr.port == shared.console_port
        ]

    before = to_console()
    asking = [
        asyncio.create_task(shared.chat(f"Tell me about {n}.", model=real, max_tokens=12))
        for n in range(6)
    ]
    await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
    during = to_console()
    assert all(answer.is_complete for answer in await asyncio.gather(*asking))
    assert len(before) == 1
    assert before == during == to_console()
    # Nothing from outside can reach the node but by that: whatever it listens on is loopback's.
    listening = [c.laddr.ip for c in process.net_connections("inet") if c.status == "LISTEN"]
    assert set(listening) <= {"127.0.0.1", "::1"}
