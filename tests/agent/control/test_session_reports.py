from __future__ import annotations

import asyncio

import pytest

from byoi_agent.availability.readings import SessionReading
from byoi_agent.control import session_reports as module
from byoi_agent.control.client import NodeUnreachable
from byoi_agent.control.session_reports import SessionHelper


class _Sensor:
    name = "stand-in"
    every_seconds = 3600.0
    trouble = None

    def __init__(self, *said):
        self.said = said

    def on_change(self, tell):
        self.tell = tell

    async def read(self):
        return self.said

    async def close(self):
        pass


class _Node:
    def __init__(self):
        self.reports = []
        self.is_there = True

    def send(self, report):
        if not self.is_there:
            raise NodeUnreachable("no node answers")
        self.reports.append(report)

    async def has(self, count):
        async with asyncio.timeout(60):
            while len(self.reports) < count:
                await asyncio.sleep(0.005)
        return self.reports


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(module, "_LEAST_SECONDS", 0.0)
    monkeypatch.setattr(module, "BEAT_SECONDS", 0.02)
    monkeypatch.setattr(module, "_LONGEST_PAUSE_SECONDS", 0.04)


@pytest.fixture
def node():
    return _Node()


async def _beside(helper, do):
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(helper.run())
        try:
            await do()
        finally:
            helper.stop.set()


async def test_a_session_is_told_of_again_and_again_and_taken_back_at_the_end(node):
    now = [0.0]
    sensor = _Sensor(SessionReading("ann", 1.0), SessionReading("jo", 5.0, sources=("x",)))
    helper = SessionHelper([sensor], "jo", "c2", node.send, now=lambda: now[0])

    async def watch():
        await node.has(1)
        now[0] = 3.0
        await node.has(len(node.reports) + 2)

    await _beside(helper, watch)
    first, *_, later, last = node.reports
    assert (first.user, first.session, first.idle_seconds) == ("jo", "c2", 5.0)
    assert later.idle_seconds == 8.0
    assert last.is_ended


async def test_a_key_is_told_at_once(node, monkeypatch):
    monkeypatch.setattr(module, "BEAT_SECONDS", 3600.0)
    sensor = _Sensor(SessionReading("jo", 600.0))
    helper = SessionHelper([sensor], "jo", "c2", node.send)

    async def press():
        await node.has(1)
        sensor.said = (SessionReading("jo", 0.0),)
        sensor.tell()
        await node.has(2)

    await _beside(helper, press)
    assert node.reports[1].idle_seconds < 300.0


async def test_a_node_that_is_not_there_is_waited_for(node, caplog):
    node.is_there = False
    helper = SessionHelper([_Sensor(SessionReading("jo", 5.0))], "jo", "c2", node.send)

    async def come_back():
        async with asyncio.timeout(60):
            while "node not told" not in caplog.text:
                await asyncio.sleep(0.005)
        node.is_there = True
        await node.has(2)

    with caplog.at_level("INFO"):
        await _beside(helper, come_back)
    assert [record.message for record in caplog.records] == [
        "node not told of the session", "node is told of the session again",
    ]  # fmt: skip


async def test_a_node_that_has_gone_at_the_end_is_no_fault(node):
    helper = SessionHelper([_Sensor(SessionReading("jo", 5.0))], "jo", "c2", node.send)

    async def leave():
        await node.has(1)
        node.is_there = False

    await _beside(helper, leave)
