from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace

import pytest

from byoi_agent.clock import SystemClock
from byoi_agent.lifecycle import service
from byoi_agent.lifecycle.service import ServiceNotices
from byoi_agent.node.view import NodeView
from byoi_agent.telemetry.service_manager import ServiceManager


class Heard(ServiceManager):
    """A manager that keeps what it was told."""

    def __init__(self, watchdog_seconds=None):
        super().__init__("/run/somewhere", watchdog_seconds)
        self.lines = []
        self.heard = asyncio.Event()

    def tell(self, *lines):
        self.lines += lines
        self.heard.set()

    async def until(self, line):
        async with asyncio.timeout(60):
            while not any(said.startswith(line) for said in self.lines):
                self.heard.clear()
                await self.heard.wait()


class Node:
    def __init__(self, watchdog_seconds=None):
        self.view = NodeView("n1", "1")
        self.manager = Heard(watchdog_seconds)
        self.notices = ServiceNotices(self.manager, lambda: self.view, SystemClock())

    @contextlib.asynccontextmanager
    async def running(self):
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(self.notices.run())
            yield self.manager
            task.cancel()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(service, "LOOK_SECONDS", 0.001)


async def test_ready_comes_first_and_before_the_console_is_there():
    async with Node().running() as manager:
        await manager.until("STATUS=")
    assert manager.lines == ["READY=1", "STATUS=waits for the console"]


async def test_what_changes_is_told_once():
    node = Node()
    async with node.running() as manager:
        await manager.until("STATUS=waits")
        node.view = replace(node.view, is_draining=True)
        node.notices.look(node.view)
        await manager.until("STATUS=stops")
        node.notices.look(node.view)
    assert sum(line.startswith("STATUS=") for line in manager.lines) == 2


async def test_signs_of_life_come_at_half_of_the_managers_patience():
    async with Node(watchdog_seconds=0.02).running() as manager:
        async with asyncio.timeout(60):
            while manager.lines.count("WATCHDOG=1") < 3:
                manager.heard.clear()
                await manager.heard.wait()


async def test_no_sign_of_life_where_nobody_waits_for_one():
    async with Node().running() as manager:
        await manager.until("STATUS=")
    assert "WATCHDOG=1" not in manager.lines


async def test_while_requests_end_more_time_is_asked_for(monkeypatch):
    monkeypatch.setattr(service, "_IDLE_SECONDS", 0.01)
    node = Node()
    async with node.running() as manager:
        node.notices.stopping()
        async with asyncio.timeout(60):
            while manager.lines.count("EXTEND_TIMEOUT_USEC=15000000") < 3:
                manager.heard.clear()
                await manager.heard.wait()
    assert "STOPPING=1" in manager.lines


async def test_a_reload_is_over_also_when_it_failed():
    node = Node()
    with pytest.raises(ZeroDivisionError), node.notices.reloading():
        raise ZeroDivisionError
    assert node.manager.lines[0].startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert node.manager.lines[1] == "READY=1"


async def test_without_a_manager_there_is_nothing_to_do():
    notices = ServiceNotices(ServiceManager(), lambda: pytest.fail("looked"), SystemClock())
    async with asyncio.timeout(60):
        await notices.run()
