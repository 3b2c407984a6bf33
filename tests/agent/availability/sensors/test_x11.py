from __future__ import annotations

import os
import signal
import socket
import time

import pytest
from Xlib import X

from byoi_agent.availability.sensors.x11 import X11Sensor

X_CLOCK_SECONDS = 0.1
"""How far the server's clock, of milliseconds, may be behind ours; less than what had grown."""


@pytest.fixture
def person(x_server, helper):
    """Somebody at the keyboard of the display."""
    with helper("x_server").Person(x_server.name) as person:
        yield person


@pytest.fixture
def sensor(x_server, using):
    return using(X11Sensor(x_server.name, "jo"))


async def idle_of(sensor):
    (session,) = await sensor.read()
    return session.idle_seconds


@pytest.mark.parametrize("touch", ["press", "move"])
async def test_time_without_input_grows_and_a_touch_resets_it(sensor, person, wait_until, touch):
    getattr(person, touch)()

    async def has_grown():
        return await idle_of(sensor) >= 0.15

    await wait_until(has_grown)
    touched = time.monotonic()
    getattr(person, touch)()
    assert await idle_of(sensor) <= time.monotonic() - touched + X_CLOCK_SECONDS
    assert sensor.trouble is None


async def test_beside_wayland_a_display_does_not_see_all_input(x_server, using):
    sensor = using(X11Sensor(x_server.name, "jo", is_wayland=True))
    assert await idle_of(sensor) is None


@pytest.mark.parametrize("name", [":32123", "nonsense", "", "unix:32123.0"])
async def test_a_display_that_is_not_there_is_no_answer(using, name, capfd):
    sensor = using(X11Sensor(name, "jo"))
    assert await sensor.read() is None
    assert "cannot be asked" in sensor.trouble
    assert capfd.readouterr() == ("", "")


async def test_nothing_is_written_where_the_rights_file_is_empty(
    sensor, tmp_path, monkeypatch, capfd
):
    (tmp_path / "rights").touch()
    monkeypatch.setenv("XAUTHORITY", str(tmp_path / "rights"))
    assert await sensor.read()
    assert capfd.readouterr() == ("", "")


async def test_a_display_that_hangs_is_given_up_and_found_again(
    sensor, x_server, wait_until, monkeypatch
):
    assert await sensor.read()
    sensor._thread._seconds = 0.05
    os.kill(x_server.process.pid, signal.SIGSTOP)
    try:
        for _ in range(3):
            assert await sensor.read() is None
    finally:
        os.kill(x_server.process.pid, signal.SIGCONT)
    sensor._thread._seconds = 2.0
    assert await wait_until(sensor.read)


async def test_another_keyboard_is_not_kept_for_ever(sensor, person):
    await sensor.read()
    for _ in range(20):
        person.display.change_keyboard_mapping(8, [[X.NoSymbol]])
    person.display.sync()
    await sensor.read()
    await sensor.read()
    assert sensor._screen._display.display.event_queue == []


async def test_a_closed_connection_is_made_again(sensor):
    assert await sensor.read()
    sensor._screen._display.display.socket.shutdown(socket.SHUT_RDWR)
    assert await sensor.read() is None
    assert await sensor.read()
