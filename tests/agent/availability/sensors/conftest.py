"""A real D-Bus daemon with stand-ins for the services on it, and a real X server."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Callable

import pytest
import pytest_asyncio
from dbus_fast import BusType, Message, MessageType, Variant
from dbus_fast.aio import MessageBus

PROPERTIES = "org.freedesktop.DBus.Properties"
PATIENT_SECONDS = 60.0


class Daemon:
    """One bus, which can go and come back at the same address."""

    def __init__(self, folder):
        self.address = f"unix:path={folder}/bus"
        self._path = folder / "bus"
        self.process = None

    def start(self):
        self._path.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            ["dbus-daemon", "--session", "--nofork", "--nopidfile", "--print-address=1",
             f"--address={self.address}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert self.process.stdout.readline()

    def stop(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
            self.process = None


@pytest.fixture(scope="module")
def bus_daemon(tmp_path_factory):
    if shutil.which("dbus-daemon") is None:
        pytest.skip("needs dbus-daemon: apt install dbus-daemon")
    daemon = Daemon(tmp_path_factory.mktemp("bus"))
    daemon.start()
    yield daemon
    daemon.stop()


class Service:
    """Answers by a table: (interface, member) → (signature, body…), a callable, or None to hang."""

    def __init__(self, bus, path):
        self.bus = bus
        self.path = path
        self.answers = {}
        self.properties = {}
        self.asked = []

    def handle(self, message):
        if message.message_type is not MessageType.METHOD_CALL:
            return None
        self.asked.append(message.member)
        if message.member == "GetAll" and message.interface == PROPERTIES:
            found = self.properties.get(message.path)
            if found is None:
                return Message.new_error(message, "org.freedesktop.DBus.Error.UnknownObject", "")
            return Message.new_method_return(message, "a{sv}", [found])
        if (key := (message.interface, message.member)) not in self.answers:
            return Message.new_error(message, "org.freedesktop.DBus.Error.UnknownMethod", "no")
        answer = self.answers[key]
        if isinstance(answer, Callable):
            answer = answer()
        if answer is None:
            return True  # handled, and never answered
        signature, *body = answer
        return Message.new_method_return(message, signature, body)

    def signal(self, interface, member, signature="", *body, path=None):
        self.bus.send(
            Message.new_signal(path or self.path, interface, member, signature, list(body))
        )

    def changed(self, path=None):
        self.signal(PROPERTIES, "PropertiesChanged", "sa{sv}as", "x.y", {}, [], path=path)

    async def leave(self):
        if self.bus.connected:
            self.bus.disconnect()
            await self.bus.wait_for_disconnect()


@pytest_asyncio.fixture
async def serve(bus_daemon):
    """Puts a stand-in on the bus under a name."""
    services = []

    async def _serve(name, path):
        bus = await MessageBus(bus_daemon.address, BusType.SESSION).connect()
        service = Service(bus, path)
        bus.add_message_handler(service.handle)
        services.append(service)
        await bus.request_name(name)
        return service

    yield _serve
    for service in services:
        await service.leave()


@pytest_asyncio.fixture
async def using():
    """Closes sensors at the end of a test."""
    sensors = []

    def _using(sensor):
        sensors.append(sensor)
        return sensor

    yield _using
    for sensor in sensors:
        await sensor.close()


def variants(**values):
    """Properties of the types that logind gives them."""
    kinds = {bool: "b", int: "t", str: "s", tuple: "(so)"}
    return {
        name: Variant(kinds[type(value)], list(value) if isinstance(value, tuple) else value)
        for name, value in values.items()
    }


@pytest.fixture
def properties_of():
    return variants


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """A bus and a display that answer have the time for it, on a machine that is busy as well."""
    for name in (
        "bus.CALL_SECONDS",
        "x11._CALL_SECONDS",
        "wayland._CONNECT_SECONDS",
        "foreign_gpu.HUNG_SECONDS",
        "programs._CALL_SECONDS",
    ):
        monkeypatch.setattr(f"byoi_agent.availability.sensors.{name}", PATIENT_SECONDS)


@pytest.fixture
def short_calls(monkeypatch, patience):
    """So that a service which never answers costs a test no seconds."""
    monkeypatch.setattr("byoi_agent.availability.sensors.bus.CALL_SECONDS", 0.1)


@pytest.fixture(scope="session")
def x_server(helper):
    """A display that nobody looks at."""
    with helper("x_server").XServer() as server:
        yield server


async def until(check, seconds=60.0):
    """Wait until an answer is true, which is given back."""
    async with asyncio.timeout(seconds):
        while not (found := await check()):
            await asyncio.sleep(0.01)
    return found


@pytest.fixture
def wait_until():
    return until
