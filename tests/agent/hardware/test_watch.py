from __future__ import annotations

import asyncio

import pytest

from byoi_agent.hardware import looking
from byoi_agent.hardware.cpu import CpuProbe
from byoi_agent.hardware.devices import DeviceReading, ProbeReading
from byoi_agent.hardware.nvml import NvmlProbe
from byoi_agent.hardware.probers import MachineProbe
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


@pytest.fixture
def watch_anew(in_process, tmp_path):
    """Watches over nvidia-ml-py and the stand-in: look, and see what is published and told."""
    return lambda: _watched(tmp_path)


@pytest.fixture
def watched(watch_anew):
    """One of them."""
    return watch_anew()


def _watched(tmp_path):
    told = []
    watch = HardwareWatch(
        probe=MachineProbe([NvmlProbe()], CpuProbe(tmp_path)),
        storage=tmp_path,
        publish=lambda view: None,
        health=Health(lambda warnings: told.append([warning.text for warning in warnings])),
        clock=_Clock(looks=1),
        interval_seconds=5.0,
    )

    async def look():
        view = await watch.look()
        return [device.index for device in view.devices if device.kind == "nvidia"], told

    return look


async def test_a_card_lost_under_load_warns_until_it_is_back_and_the_others_stay(
    nvml, in_process, watched
):
    in_process.shows(nvml.server(8, 77))
    assert await watched() == (list(range(8)), [])
    in_process.lose(3)
    devices, told = await watched()
    assert devices == [0, 1, 2, 4, 5, 6, 7]
    ((text,),) = told
    assert text == "GPU 3 (00000000:1E:00.0) cannot be read: GPU is lost"
    await watched()
    assert len(told) == 1
    in_process.find(3)
    devices, told = await watched()
    assert (devices, told[1:]) == (list(range(8)), [[]])


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        ({"all": "!18"}, "the driver in the kernel is another than its library"),
        ({"all": "!9"}, "it is not loaded"),
        ({"all": "!1"}, "Uninitialized"),
        ({"0.!": 15, "1.!": 15}, "GPU is lost"),
        ({"0.handle": "!4", "1.handle": "!4"}, "this user has no permission"),
    ],
)
async def test_a_driver_that_is_lost_warns_and_is_no_machine_without_cards(
    nvml, in_process, watched, trouble, words
):
    in_process.shows(nvml.server(2))
    await watched()
    in_process.set(trouble)
    devices, ((text,),) = await watched()
    assert devices == []
    assert text.endswith(words)


async def test_old_drivers_laptops_and_split_cards_are_no_trouble(nvml, in_process, watch_anew):
    for shown in (nvml.laptop(), nvml.split(), nvml.server(8)):
        in_process.shows(shown)
        devices, told = await watch_anew()()
        assert devices
        assert told == []


async def test_a_hung_driver_warns_until_it_answers(nvml, in_process, watched, monkeypatch):
    in_process.shows(nvml.server(2), {"hang": "nvmlDeviceGetPowerUsage"})
    monkeypatch.setattr(looking, "LOOK_SECONDS", 0.05)
    _, ((text,),) = await watched()
    assert "has not answered" in text
    monkeypatch.setattr(looking, "LOOK_SECONDS", 10.0)
    in_process.change(hang=None)
    while (await watched())[0] != [0, 1]:
        pass
    assert (await watched())[1][-1] == []
