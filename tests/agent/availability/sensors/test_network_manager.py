from __future__ import annotations

import asyncio

import pytest
from dbus_fast import Variant

from byoi_agent.availability.readings import MachineReading
from byoi_agent.availability.sensors.network_manager import NetworkManagerSensor

NAME, PATH = "org.freedesktop.NetworkManager", "/org/freedesktop/NetworkManager"


@pytest.fixture
def sensor(bus_daemon, using):
    return using(NetworkManagerSensor(bus_daemon.address))


@pytest.fixture
async def network(serve):
    service = await serve(NAME, PATH)
    service.properties[PATH] = {"Metered": Variant("u", 0)}
    return service


@pytest.mark.parametrize(
    ("told", "is_metered"), [(0, None), (1, True), (2, False), (3, True), (4, False)]
)
async def test_its_words_are_understood(network, sensor, told, is_metered):
    network.properties[PATH] = {"Metered": Variant("u", told)}
    assert await sensor.read() == MachineReading(is_metered=is_metered)


async def test_another_network_is_told_at_once(network, sensor):
    told = asyncio.Event()
    sensor.on_change(told.set)
    await sensor.read()
    network.changed()
    await asyncio.wait_for(told.wait(), 60)


@pytest.mark.parametrize(
    "told", [{}, {"Metered": Variant("u", 9)}, {"Metered": Variant("as", ["x"])}]
)
async def test_other_words_are_no_answer(network, sensor, told):
    network.properties[PATH] = told
    assert await sensor.read() is None
    assert "as it should" in sensor.trouble


async def test_without_networkmanager_nobody_can_say(bus_daemon, sensor):
    assert await sensor.read() is None
    assert NAME in sensor.trouble
