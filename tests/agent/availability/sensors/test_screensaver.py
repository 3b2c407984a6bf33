from __future__ import annotations

import asyncio

import pytest

from byoi_agent.availability.readings import SessionReading
from byoi_agent.availability.sensors.screensaver import ScreenSaverSensor, Unit

KDE, KDE_PATH = "org.freedesktop.ScreenSaver", "/org/freedesktop/ScreenSaver"
GNOME, GNOME_PATH = "org.gnome.ScreenSaver", "/org/gnome/ScreenSaver"


class _Time:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def time():
    return _Time()


@pytest.fixture
def sensor(bus_daemon, using, time):
    return using(ScreenSaverSensor(bus_daemon.address, "jo", time))


@pytest.fixture
async def kde(serve):
    service = await serve(KDE, KDE_PATH)
    service.answers[KDE, "GetActive"] = ("b", False)
    service.answers[KDE, "GetSessionIdleTime"] = ("u", 4000)
    return service


async def test_kde_counts_milliseconds_which_is_learned(kde, sensor, time):
    assert await sensor.read() == (SessionReading("jo", None, False, sources=("screensaver",)),)
    time.now = 1.0
    kde.answers[KDE, "GetSessionIdleTime"] = ("u", 5000)
    assert await sensor.read() == (SessionReading("jo", 5.0, False, sources=("screensaver",)),)


async def test_a_covered_screen_is_told_at_once(kde, sensor):
    told = asyncio.Event()
    sensor.on_change(told.set)
    await sensor.read()
    kde.answers[KDE, "GetActive"] = ("b", True)
    kde.signal(KDE, "ActiveChanged", "b", True)
    await asyncio.wait_for(told.wait(), 60)
    (session,) = await sensor.read()
    assert session.is_locked is True


async def test_gnomes_own_name_is_asked_as_well(serve, sensor):
    service = await serve(GNOME, GNOME_PATH)
    service.answers[GNOME, "GetActive"] = ("b", True)
    assert await sensor.read() == (SessionReading("jo", None, True, sources=("screensaver",)),)


async def test_without_one_nobody_can_say(bus_daemon, sensor):
    assert await sensor.read() is None
    assert KDE in sensor.trouble


async def test_answers_of_other_types_are_not_known(kde, sensor):
    kde.answers[KDE, "GetActive"] = ("s", "yes")
    kde.answers[KDE, "GetSessionIdleTime"] = ("s", "long")
    assert await sensor.read() == (SessionReading("jo", sources=("screensaver",)),)


def test_seconds_are_learned_too():
    unit = Unit()
    assert [unit.seconds(value, now) for value, now in ((10, 0.0), (10, 0.5), (12, 2.0))] == [
        None, None, 12.0,
    ]  # fmt: skip


def test_a_number_that_only_jumps_about_teaches_nothing():
    unit = Unit()
    assert [unit.seconds(value, now) for value, now in ((0, 0.0), (0, 1.0), (70, 2.0), (0, 3))] == [
        None
    ] * 4


def test_input_in_between_does_not_mislead():
    unit = Unit()
    values = [unit.seconds(value, now) for value, now in ((9000, 0.0), (100, 1.0), (1100, 2.0))]
    assert values == [None, None, 1.1]
