from __future__ import annotations

import asyncio

import pytest

from byoi_agent.availability.readings import SessionReading
from byoi_agent.availability.sensors.mutter import MutterSensor

NAME, PATH = "org.gnome.Mutter.IdleMonitor", "/org/gnome/Mutter/IdleMonitor/Core"


@pytest.fixture
def sensor(bus_daemon, using):
    return using(MutterSensor(bus_daemon.address, "jo"))


@pytest.fixture
async def mutter(serve):
    service = await serve(NAME, PATH)
    service.answers[NAME, "GetIdletime"] = ("t", 1500)
    service.answers[NAME, "AddUserActiveWatch"] = ("u", 1)
    return service


async def test_milliseconds_without_input_are_read(mutter, sensor):
    assert await sensor.read() == (SessionReading("jo", 1.5, sources=("mutter",)),)
    assert mutter.asked == ["GetIdletime"]


async def test_the_first_input_after_a_while_is_told_by_gnome_itself(mutter, sensor):
    told = asyncio.Event()
    sensor.on_change(told.set)
    mutter.answers[NAME, "GetIdletime"] = ("t", 60_000)
    for _ in range(3):
        await sensor.read()
    assert mutter.asked.count("AddUserActiveWatch") == 1
    mutter.signal(NAME, "WatchFired", "u", 1)
    await asyncio.wait_for(told.wait(), 60)
    await sensor.read()
    assert mutter.asked.count("AddUserActiveWatch") == 2


async def test_another_gnome_is_asked_for_its_word_anew(mutter, sensor, serve):
    mutter.answers[NAME, "GetIdletime"] = ("t", 60_000)
    await sensor.read()
    await mutter.leave()
    assert await sensor.read() is None
    assert NAME in sensor.trouble
    again = await serve(NAME, PATH)
    again.answers = mutter.answers
    assert await sensor.read()
    assert again.asked == ["GetIdletime", "AddUserActiveWatch"]


@pytest.mark.parametrize(
    "answer", [("s", "long"), ("",), ("x", -1), ("d", float("nan")), ("b", True)]
)
async def test_an_answer_of_another_shape_is_none(mutter, sensor, answer):
    mutter.answers[NAME, "GetIdletime"] = answer
    assert await sensor.read() is None
    assert "does not answer as it should" in sensor.trouble


async def test_one_that_hangs_is_given_up(mutter, sensor, short_calls):
    mutter.answers[NAME, "GetIdletime"] = None
    assert await sensor.read() is None
    assert "does not answer" in sensor.trouble


async def test_outside_of_a_session_there_is_no_bus(using):
    sensor = using(MutterSensor(None, "jo"))
    assert await sensor.read() is None
    assert "no message bus" in sensor.trouble
