from __future__ import annotations

import asyncio

import pytest

from byoi_agent.availability.readings import SessionReading
from byoi_agent.availability.sensors.logind import LogindSensor, session_paths, sessions_of

NAME, PATH = "org.freedesktop.login1", "/org/freedesktop/login1"
MANAGER = "org.freedesktop.login1.Manager"
SESSION = "/org/freedesktop/login1/session/_31"


@pytest.fixture
def sensor(bus_daemon, using):
    return using(LogindSensor(bus_daemon.address, now=lambda: 1000.0))


@pytest.fixture
async def logind(serve, properties_of):
    service = await serve(NAME, PATH)
    row = ["1", 1000, "jo", "seat0", SESSION]
    service.answers[MANAGER, "ListSessions"] = ("a(susso)", [row])
    service.properties[SESSION] = properties_of(
        Name="jo",
        Class="user",
        State="active",
        Type="x11",
        Active=True,
        Seat=("seat0", "/seat0"),
        LockedHint=False,
        IdleHint=True,
        IdleSinceHintMonotonic=900_000_000,
    )
    return service


async def test_a_session_at_the_screen_is_read(logind, sensor):
    assert await sensor.read() == (SessionReading("jo", 100.0, False, sources=("logind",)),)
    assert sensor.trouble is None


async def test_a_change_of_a_session_is_told_at_once(logind, sensor, properties_of):
    told = asyncio.Event()
    sensor.on_change(told.set)
    await sensor.read()
    logind.properties[SESSION].update(properties_of(LockedHint=True))
    logind.changed(SESSION)
    await asyncio.wait_for(told.wait(), 60)
    ((session),) = await sensor.read()
    assert session.is_locked is True


async def test_without_logind_nobody_can_say(bus_daemon, sensor):
    assert await sensor.read() is None
    assert "login1" in sensor.trouble


async def test_without_a_bus_nobody_can_say(tmp_path, using):
    sensor = using(LogindSensor(f"unix:path={tmp_path}/none"))
    assert await sensor.read() is None
    assert "no message bus" in sensor.trouble


async def test_a_logind_that_hangs_is_given_up_and_asked_anew(
    logind, sensor, short_calls, monkeypatch
):
    answer = logind.answers[MANAGER, "ListSessions"]
    logind.answers[MANAGER, "ListSessions"] = None
    for _ in range(3):
        assert await sensor.read() is None
        assert "does not answer" in sensor.trouble
    logind.answers[MANAGER, "ListSessions"] = answer
    monkeypatch.setattr("byoi_agent.availability.sensors.bus.CALL_SECONDS", 60.0)
    assert await sensor.read()


async def test_a_logind_that_goes_and_comes_back_is_found(logind, sensor, serve):
    assert await sensor.read()
    await logind.leave()
    assert await sensor.read() is None
    again = await serve(NAME, PATH)
    again.answers, again.properties = logind.answers, logind.properties
    assert await sensor.read()


async def test_a_bus_that_goes_and_comes_back_is_found(bus_daemon, logind, sensor, serve):
    assert await sensor.read()
    bus_daemon.stop()
    assert await sensor.read() is None
    bus_daemon.start()
    again = await serve(NAME, PATH)
    again.answers, again.properties = logind.answers, logind.properties
    assert await sensor.read()


@pytest.mark.parametrize(
    "answer", [("s", "nobody"), ("as", ["x"]), ("a(su)", [["1", 2]]), ("u", 7), ("",)]
)
async def test_an_answer_of_another_shape_is_nobody(logind, sensor, answer):
    logind.answers[MANAGER, "ListSessions"] = answer
    assert await sensor.read() == ()


async def test_properties_of_other_types_are_not_known(logind, sensor, properties_of):
    logind.properties[SESSION].update(
        properties_of(LockedHint="maybe", IdleSinceHintMonotonic="yesterday", Name=7)
    )
    assert await sensor.read() == (SessionReading("unknown", sources=("logind",)),)


async def test_hundreds_of_sessions_are_no_hundreds_of_questions(logind, sensor):
    row = ["1", 1000, "jo", "seat0", SESSION]
    assert len(session_paths([[row] * 500])) == 64


HERE = {
    "Name": "jo",
    "Class": "user",
    "State": "active",
    "Type": "x11",
    "Active": True,
    "Seat": ["seat0", "/seat0"],
}


@pytest.mark.parametrize(
    "otherwise",
    [
        {"Class": "greeter"},
        {"State": "closing"},
        {"Active": False},
        {"Seat": ["", "/"], "Type": "tty"},
    ],
)
def test_who_is_not_at_the_screen_is_not_here(otherwise):
    assert sessions_of([HERE], 10.0)
    assert sessions_of([HERE | otherwise], 10.0) == ()


def test_a_desktop_from_afar_is_here():
    assert sessions_of([HERE | {"Seat": ["", "/"], "Type": "x11"}], 10.0)


def test_a_desktop_that_has_not_told_is_not_known():
    (session,) = sessions_of([HERE | {"IdleHint": False, "IdleSinceHintMonotonic": 5_000_000}], 9.0)
    assert session.idle_seconds is None


def test_a_terminal_tells_its_last_input():
    told = {"Type": "tty", "IdleHint": False, "IdleSinceHintMonotonic": 5_000_000}
    (session,) = sessions_of([HERE | told], 9.0)
    assert (session.idle_seconds, session.sources) == (4.0, ("terminal",))
