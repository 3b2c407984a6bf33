from __future__ import annotations

import pytest

from byoi_agent.bench.devices import ItsDevices
from byoi_agent.hardware.devices import DeviceProcess, DeviceReading, ProbeReading


def card(index, *pids, kind="nvidia"):
    processes = tuple(DeviceProcess(pid, "compute") for pid in pids)
    return DeviceReading(index, kind, "card", processes=processes or None)


class Machine:
    def __init__(self, *devices):
        self.devices = devices

    async def read(self):
        return ProbeReading(self.devices)


def family(pid):
    """The engine 5 started 50."""
    return frozenset({50: {50, 5}}.get(pid, {pid}))


FOUR = (card(0, 50, 9), card(1, 50), card(2, 9), card(3))


@pytest.mark.parametrize(
    ("devices", "pid", "is_on_host", "shown"),
    [
        (FOUR, 5, False, [0, 1]),
        (FOUR, 7, False, [0, 1, 2, 3]),
        (FOUR, None, False, [0, 1, 2, 3]),
        ((card(0, 9),), 5, False, [0]),
        (FOUR, 5, True, []),
        ((card(0, kind="cpu"),), 5, True, [0]),
        ((card(0, kind="apple"),), None, True, [0]),
    ],
)
async def test_what_other_devices_draw_is_not_its_energy(devices, pid, is_on_host, shown):
    probe = ItsDevices(Machine(*devices), pid, is_on_host=is_on_host, ancestors=family)
    assert [one.index for one in (await probe.read()).devices] == shown
