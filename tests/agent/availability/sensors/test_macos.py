from __future__ import annotations

import plistlib
import subprocess

import pytest

from byoi_agent.availability.readings import MachineReading, SessionReading
from byoi_agent.availability.sensors.macos import (
    MacPower,
    MacSession,
    idle_of,
    on_battery_of,
    people_of,
)

INPUT = plistlib.dumps(
    [{"IOClass": "IOHIDSystem", "HIDIdleTime": 2_500_000_000, "HIDParameters": {"x": 1}}]
)
JO = {
    "kCGSSessionUserNameKey": "jo",
    "kCGSSessionOnConsoleKey": True,
    "kCGSSessionLoginDoneKey": True,
    "CGSSessionScreenIsLocked": True,
}
ANN = {"kCGSSessionUserNameKey": "ann", "kCGSSessionOnConsoleKey": False}
LOGIN_WINDOW = {"kCGSSessionOnConsoleKey": True, "kCGSSessionLoginDoneKey": False}
MAINS = b"Now drawing from 'AC Power'\n -InternalBattery-0 (id=1)\t100%; charged; 0:00\n"
BATTERY = b"Now drawing from 'Battery Power'\n -InternalBattery-0 (id=1)\t81%; discharging\n"


def console(*users):
    return plistlib.dumps({"IOConsoleLocked": False, "IOConsoleUsers": list(users)})


class _Commands:
    def __init__(self, users=(JO,), power=MAINS):
        self.answers = {"IOHIDSystem": INPUT, "Root": console(*users), "batt": power}
        self.asked = []

    def __call__(self, command):
        found = next(name for name in self.answers if name in command)
        self.asked.append(found)
        if isinstance(answer := self.answers[found], Exception):
            raise answer
        return answer


async def test_whoever_sits_at_the_console_is_read(using):
    commands = _Commands((JO, ANN, LOGIN_WINDOW))
    sensor = using(MacSession("me", commands))
    said = (SessionReading("jo", 2.5, True, sources=("ioreg",)),)
    assert [await sensor.read() for _ in range(3)] == [said] * 3
    assert commands.asked == ["IOHIDSystem", "Root", "IOHIDSystem", "IOHIDSystem"]


async def test_at_the_login_window_there_is_nobody(using):
    assert await using(MacSession("me", _Commands((LOGIN_WINDOW,)))).read() == ()


@pytest.mark.parametrize(
    "fault",
    [b"", b"<plist>", plistlib.dumps([]), OSError("no ioreg"), subprocess.TimeoutExpired("x", 2)],
)
async def test_an_ioreg_that_fails_is_no_answer(using, fault):
    commands = _Commands()
    commands.answers["IOHIDSystem"] = fault
    sensor = using(MacSession("me", commands))
    assert await sensor.read() is None
    assert "ioreg" in sensor.trouble


def test_values_of_other_types_are_not_known():
    assert idle_of(plistlib.dumps([{"HIDIdleTime": "long"}])) is None
    assert people_of(plistlib.dumps([1]), "me") == ()
    assert people_of(plistlib.dumps({"IOConsoleUsers": "all"}), "me") == ()
    (person,) = people_of(console({"kCGSSessionOnConsoleKey": True}, "x"), "me")
    assert (person.user, person.is_locked) == ("me", False)


@pytest.mark.parametrize(
    ("power", "on_battery"),
    [(MAINS, False), (BATTERY, True), (b"Now drawing from 'UPS Power'\n", True)],
)
async def test_mains_or_battery(using, power, on_battery):
    sensor = using(MacPower(_Commands(power=power)))
    assert await sensor.read() == MachineReading(on_battery=on_battery)


async def test_a_pmset_that_says_neither_is_no_answer(using):
    sensor = using(MacPower(_Commands(power=b"pmset: command failed\n")))
    assert await sensor.read() is None
    assert "pmset" in sensor.trouble
    with pytest.raises(ValueError, match="no source"):
        on_battery_of(b"")
