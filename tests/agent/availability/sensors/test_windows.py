from __future__ import annotations

import dataclasses

import pytest

from byoi_agent.availability.readings import MachineReading, SessionReading
from byoi_agent.availability.sensors.windows import WindowsPower, WindowsSession, idle_of


@dataclasses.dataclass
class _Calls:
    now: int = 100_000
    last: int | None = 97_500
    state: int | None = 5
    front: int | None = 42
    line: int | None = 1

    def ticks(self):
        return self.now

    def last_input_ticks(self):
        return self.last

    def notification_state(self):
        return self.state

    def front_process(self):
        return self.front

    def line_status(self):
        return self.line


@pytest.mark.parametrize(
    ("last", "now", "seconds"),
    [
        (1_000, 3_500, 2.5),
        (2**32 - 1_000, 1_500, 2.5),  # the count has begun anew in between
        (5_000, 4_990, 0.0),  # input between the two calls
        (0, 2**31 - 1, 2_147_483.647),
    ],
)
def test_idle_time_survives_the_count_that_begins_anew(last, now, seconds):
    assert idle_of(last, now) == seconds


async def _read(**calls):
    return await WindowsSession(_Calls(**calls), "jo", {42: "game.exe"}.get).read()


async def test_somebody_works():
    assert await _read() == (SessionReading("jo", 2.5, False, None, ("windows",)),)


@pytest.mark.parametrize("state", [2, 3, 4, 7])
async def test_a_program_over_the_whole_screen_is_named(state):
    ((session),) = await _read(state=state)
    assert session.fullscreen == "game.exe"


async def test_a_program_without_a_name_counts_too():
    ((session),) = await _read(state=3, front=None)
    assert session.fullscreen == "a program"


async def test_a_locked_screen_is_told():
    ((session),) = await _read(state=1)
    assert session.is_locked is True


async def test_each_call_may_fail_alone():
    assert await _read(last=None) == (SessionReading("jo", None, False, None, ("windows",)),)
    assert await _read(state=None) == (SessionReading("jo", 2.5, None, None, ("windows",)),)


async def test_a_service_is_told_nothing():
    sensor = WindowsSession(_Calls(last=None, state=None), "jo")
    assert await sensor.read() is None
    assert "person's session" in sensor.trouble
    await sensor.close()


@pytest.mark.parametrize(("line", "on_battery"), [(0, True), (1, False)])
async def test_mains_or_battery(line, on_battery):
    assert await WindowsPower(_Calls(line=line)).read() == MachineReading(on_battery=on_battery)


@pytest.mark.parametrize("line", [255, None])
async def test_windows_may_not_know(line):
    sensor = WindowsPower(_Calls(line=line))
    assert await sensor.read() is None
    assert "does not know" in sensor.trouble
    await sensor.close()
