from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress

import pytest
import pytest_asyncio

from byoi_agent.availability.sensors.bus import (
    Bus,
    BusTrouble,
    Place,
    session_bus,
    system_bus,
)

PLACE = Place("org.example.Thing", "/thing", "org.example.Thing")
RULE = "type='signal',sender='org.example.Thing',interface='org.example.Thing'"


@pytest_asyncio.fixture
async def bus(bus_daemon):
    heard = []
    bus = Bus(bus_daemon.address, (RULE,), lambda member, body: heard.append((member, body)))
    bus.heard = heard
    yield bus
    await bus.close()


async def test_a_connection_is_made_when_needed_and_kept(serve, bus):
    service = await serve(PLACE.service, PLACE.path)
    service.answers[PLACE.interface, "Add"] = ("u", 3)
    assert not bus.is_connected
    assert await bus.call(PLACE, "Add", "uu", 1, 2) == [3]
    assert bus.is_connected
    await bus.close()
    assert not bus.is_connected


async def test_only_signals_of_the_rules_are_heard(serve, bus, wait_until):
    service = await serve(PLACE.service, PLACE.path)
    service.answers[PLACE.interface, "Add"] = ("u", 3)
    await bus.call(PLACE, "Add")
    service.signal("org.example.Other", "Noise")
    service.signal(PLACE.interface, "News", "s", "all well")

    async def heard():
        return bus.heard

    assert await wait_until(heard) == [("News", ["all well"])]


@asynccontextmanager
async def something_at(path, words):
    """A service that is no bus."""
    ended = asyncio.Event()

    async def speak(reader, writer):
        writer.write(words)
        with suppress(ConnectionError):
            await reader.read()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        ended.set()

    async with await asyncio.start_unix_server(speak, path):
        yield
        await asyncio.wait_for(ended.wait(), 60)


@pytest.mark.parametrize("words", [b"", b"220 welcome to another service\r\n", b"\xff" * 9000])
async def test_what_is_no_bus_is_told_in_words(tmp_path, short_calls, words):
    async with something_at(tmp_path / "bus", words):
        bus = Bus(f"unix:path={tmp_path}/bus")
        with pytest.raises(BusTrouble, match="message bus"):
            await bus.call(PLACE, "Add")
        await bus.close()


@pytest.mark.parametrize("address", ["", "nonsense", "carrier-pigeon:path=/x", "unix:path=/none"])
async def test_an_address_of_nothing_is_told_in_words(address):
    with pytest.raises(BusTrouble, match="no message bus"):
        await Bus(address).call(PLACE, "Add")


def test_where_the_buses_are(tmp_path):
    assert system_bus({}) == "unix:path=/run/dbus/system_bus_socket"
    assert system_bus({"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/x"}) == "unix:path=/x"
    assert session_bus({}) is None
    assert session_bus({"XDG_RUNTIME_DIR": str(tmp_path)}) is None
    (tmp_path / "bus").touch()
    assert session_bus({"XDG_RUNTIME_DIR": str(tmp_path)}) == f"unix:path={tmp_path}/bus"
    assert session_bus({"DBUS_SESSION_BUS_ADDRESS": "unix:path=/y"}) == "unix:path=/y"
