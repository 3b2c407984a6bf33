from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest
import uvloop

from byoi_agent.availability.readings import SessionReading
from byoi_agent.availability.sensors.wayland import WaylandSensor, compositor
from byoi_agent.availability.sensors.wayland_wire import request, taken

ALL = ("wl_compositor", "wl_seat", "ext_idle_notifier_v1", "wl_seat")


class Compositor:
    """Speaks as much of the protocol as an idle notification needs."""

    def __init__(self, path, offers=ALL):
        self.path = path
        self.offers = offers
        self.asked = []
        self.writer = None
        self.is_mute = False
        self.greeting = b""

    async def __aenter__(self):
        self._left = asyncio.Event()
        self.server = await asyncio.start_unix_server(self._speak, self.path)
        return self

    async def __aexit__(self, *_):
        self.server.close()
        if self.writer is not None:
            self.writer.close()
            await asyncio.wait_for(self._left.wait(), 60)
        self.path.unlink(missing_ok=True)

    async def _speak(self, reader, writer):
        self.writer = writer
        received = bytearray()
        with suppress(ConnectionError):
            while data := await reader.read(4096):
                received += data
                for message in taken(received):
                    self._answer(message.sender, message.event, message.values)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        self._left.set()

    def _answer(self, target, number, values):
        self.asked.append((target, number))
        if self.is_mute:
            return
        if (target, number) == (1, 1):
            self.writer.write(self.greeting)
            for name, interface in enumerate(self.offers, 1):
                self.writer.write(request(2, 0, name, interface, 1))
        elif (target, number) == (1, 0):
            self.writer.write(request(3, 0, 99))

    def idled(self):
        self.writer.write(request(6, 0))

    def resumed(self):
        self.writer.write(request(6, 1))


class _Time:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
async def screen(tmp_path):
    async with Compositor(tmp_path / "wayland-0") as running:
        yield running


@pytest.fixture
def time():
    return _Time()


@pytest.fixture
def sensor(tmp_path, using, time):
    return using(WaylandSensor(tmp_path / "wayland-0", "jo", time))


def said(idle):
    return (SessionReading("jo", idle, sources=("wayland",)),)


async def test_idle_time_begins_when_it_is_told_and_ends_at_once(screen, sensor, time, wait_until):
    told = asyncio.Event()
    sensor.on_change(told.set)
    assert await sensor.read() == said(0.0)
    assert (5, 1) in await wait_until(lambda: _asked(screen))
    screen.idled()

    async def is_idle():
        return (await sensor.read()) == said(1.0)

    await wait_until(is_idle)
    time.now += 60.0
    assert await sensor.read() == said(61.0)
    screen.resumed()
    await asyncio.wait_for(told.wait(), 60)
    assert await sensor.read() == said(0.0)
    assert sensor.trouble is None


async def _asked(screen):
    return screen.asked if (5, 1) in screen.asked else None


def test_the_loop_that_nodes_run_on_will_do_as_well(tmp_path):
    async def look():
        async with Compositor(tmp_path / "wayland-0"):
            sensor = WaylandSensor(tmp_path / "wayland-0", "jo")
            found = await sensor.read()
            await sensor.close()
            return found

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(look()) == said(0.0)


@pytest.mark.parametrize("offers", [(), ("wl_seat",), ("ext_idle_notifier_v1",)])
async def test_a_compositor_without_the_extension_is_no_answer(screen, sensor, offers):
    screen.offers = offers
    assert await sensor.read() is None
    assert "ext_idle_notifier_v1" in sensor.trouble


async def test_one_that_is_mute_is_given_up(screen, sensor, monkeypatch):
    monkeypatch.setattr("byoi_agent.availability.sensors.wayland._CONNECT_SECONDS", 0.05)
    screen.is_mute = True
    assert await sensor.read() is None
    assert "does not answer" in sensor.trouble


@pytest.mark.parametrize("words", [b"\0" * 64, request(1, 0, 1, 2, "no"), request(2, 0)])
async def test_nonsense_and_errors_end_the_connection(screen, sensor, words):
    screen.greeting = words
    assert await sensor.read() is None


async def test_one_that_goes_and_comes_back_is_found(tmp_path, screen, sensor, wait_until):
    assert await sensor.read()
    screen.writer.close()

    async def is_lost():
        return sensor._client.ended.done()

    await wait_until(is_lost)
    assert await sensor.read() == said(0.0)


async def test_where_there_is_none_is_no_answer(tmp_path, using):
    sensor = using(WaylandSensor(tmp_path / "none", "jo"))
    assert await sensor.read() is None
    assert "no compositor" in sensor.trouble


def test_where_the_compositor_listens():
    assert compositor({}) is None
    assert compositor({"WAYLAND_DISPLAY": "wayland-0"}) is None
    folder = {"XDG_RUNTIME_DIR": "/run/user/7"}
    assert compositor(folder | {"WAYLAND_DISPLAY": "wayland-0"}) == Path("/run/user/7/wayland-0")
    assert compositor({"WAYLAND_DISPLAY": "/x/y"}) == Path("/x/y")
