from __future__ import annotations

import asyncio

import pytest

from byoi_agent.hardware.devices import DeviceReading, ProbeReading
from byoi_agent.hardware.watch import HardwareWatch
from byoi_agent.telemetry.health import Health

CARD = DeviceReading(index=0, kind="nvidia", name="H200")


class _Probe:
    def __init__(self, *readings):
        self.readings = list(readings)

    async def read(self):
        return self.readings.pop(0)


class _Clock:
    """Time passes only when somebody waits for it; the wait ends the test at its third look."""

    def __init__(self, looks):
        self.now = 0.0
        self.looks = looks

    def monotonic(self):
        return self.now

    def wall(self):
        return self.now

    async def sleep_until(self, at):
        self.now = at
        self.looks -= 1
        if not self.looks:
            raise asyncio.CancelledError


async def test_a_lost_driver_is_a_warning_until_it_is_back(tmp_path):
    views, told = [], []
    health = Health(lambda warnings: told.append([warning.name for warning in warnings]))
    clock = _Clock(looks=3)
    watch = HardwareWatch(
        probe=_Probe(
            ProbeReading((CARD,)),
            ProbeReading(problem="GPU is lost", mend="restart"),
            ProbeReading((CARD,)),
        ),
        storage=tmp_path,
        publish=views.append,
        health=health,
        clock=clock,
        interval_seconds=5.0,
    )
    with pytest.raises(asyncio.CancelledError):
        await watch.run()
    assert [len(view.devices) for view in views] == [1, 0, 1]
    assert told == [["gpu-driver"], []]
    assert clock.now == 15.0
