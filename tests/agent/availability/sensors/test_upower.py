from __future__ import annotations

import asyncio

import pytest

from byoi_agent.availability.readings import MachineReading
from byoi_agent.availability.sensors.upower import UPowerSensor

NAME, PATH = "org.freedesktop.UPower", "/org/freedesktop/UPower"


@pytest.fixture
def sensor(bus_daemon, using):
    return using(UPowerSensor(bus_daemon.address))


@pytest.fixture
async def upower(serve, properties_of):
    service = await serve(NAME, PATH)
    service.properties[PATH] = properties_of(OnBattery=False)
    return service


async def test_a_pulled_plug_is_told_and_read(upower, sensor, properties_of):
    told = asyncio.Event()
    sensor.on_change(told.set)
    assert await sensor.read() == MachineReading(on_battery=False)
    upower.properties[PATH] = properties_of(OnBattery=True)
    upower.changed()
    await asyncio.wait_for(told.wait(), 60)
    assert await sensor.read() == MachineReading(on_battery=True)


async def test_without_upower_nobody_can_say(bus_daemon, sensor):
    assert await sensor.read() is None
    assert NAME in sensor.trouble


async def test_another_type_is_no_answer(upower, sensor, properties_of):
    upower.properties[PATH] = properties_of(OnBattery="a bit")
    assert await sensor.read() is None
    assert "as it should" in sensor.trouble
