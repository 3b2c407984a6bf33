from __future__ import annotations

import asyncio

import pytest

from byoi_agent.availability import asking
from byoi_agent.availability.asking import ask_again_and_again


class _Sensor:
    name = "stand-in"
    every_seconds = 0.0

    def __init__(self, *answers):
        self.answers = list(answers)
        self.trouble = "it broke"
        self.tell = None
        self.is_closed = False

    def on_change(self, tell):
        self.tell = tell

    async def read(self):
        answer = self.answers.pop(0) if self.answers else "last"
        if isinstance(answer, Exception):
            raise answer
        if answer == "hang":
            await asyncio.Event().wait()
        return answer

    async def close(self):
        self.is_closed = True


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(asking, "FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(asking, "LONGEST_PAUSE_SECONDS", 0.004)
    monkeypatch.setattr(asking, "_LEAST_SECONDS", 0.0)


def wanted():
    event = asyncio.Event()
    event.set()
    return event


async def _ask(sensor, until="last"):
    heard = []
    done = asyncio.Event()

    def take(answer):
        heard.append(answer)
        if answer == until:
            done.set()

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(ask_again_and_again(sensor, take, wanted()))
        await asyncio.wait_for(done.wait(), 60)
        task.cancel()
    return heard


async def test_a_sensor_is_asked_until_the_end_and_then_closed():
    sensor = _Sensor("a", "b")
    assert (await _ask(sensor))[:3] == ["a", "b", "last"]
    assert sensor.is_closed


async def test_a_fault_of_a_sensor_is_an_answer_that_it_cannot_say(caplog):
    sensor = _Sensor("a", ZeroDivisionError("bug"), None, "b")
    with caplog.at_level("INFO"):
        assert (await _ask(sensor))[:5] == ["a", None, None, "b", "last"]
    assert [record.message for record in caplog.records] == [
        "sensor failed", "sensor lost", "sensor answers again",
    ]  # fmt: skip


async def test_one_that_hangs_is_given_up(monkeypatch):
    monkeypatch.setattr(asking, "ANSWER_SECONDS", 0.01)
    assert (await _ask(_Sensor("hang")))[:2] == [None, "last"]


async def test_one_that_is_never_there_is_no_news(caplog):
    with caplog.at_level("INFO"):
        sensor = _Sensor(*[None] * 8, "last")
        assert (await _ask(sensor)).count(None) == 8
    assert [record.message for record in caplog.records] == ["sensor answers again"]


async def test_what_a_source_tells_by_itself_is_looked_at_at_once():
    sensor = _Sensor("a", "last")
    sensor.every_seconds = 3600.0

    async def tell():
        while sensor.answers != ["last"]:
            await asyncio.sleep(0)
        sensor.tell()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(tell())
        assert await _ask(sensor) == ["a", "last"]


async def test_nobody_is_asked_while_it_is_not_wanted():
    sensor, event, heard = _Sensor("a"), asyncio.Event(), asyncio.Queue()
    asking = asyncio.ensure_future(ask_again_and_again(sensor, heard.put_nowait, event))
    for _ in range(5):
        await asyncio.sleep(0)
    assert sensor.answers == ["a"]
    event.set()
    assert await asyncio.wait_for(heard.get(), 60) == "a"
    asking.cancel()
    await asyncio.wait([asking])
    assert sensor.is_closed
