from __future__ import annotations

import sys

import pytest

from byoi_agent.hardware.devices import DeviceReading, ProbeReading
from byoi_agent.hardware.probers import MachineProbe, machine_probe


class _Kind:
    def __init__(self, *devices, problem=None, lost=()):
        self.reading = ProbeReading(devices, problem, "mend it" if problem else "", lost)

    async def read(self):
        return self.reading

    def now(self):
        return self.reading


def device(kind, index=0):
    return DeviceReading(index=index, kind=kind, name=kind)


async def asked(*kinds):
    """Both ways of asking answer the same."""
    probe = MachineProbe(kinds, _Kind(device("cpu")))
    reading = await probe.read()
    assert probe.now() == reading
    return reading


async def test_the_processor_is_a_device_only_where_no_accelerator_is():
    assert [one.kind for one in (await asked(_Kind(), _Kind())).devices] == ["cpu"]
    assert [one.kind for one in (await asked(_Kind(), _Kind(device("amd")))).devices] == ["amd"]


async def test_an_accelerator_that_cannot_be_read_is_not_replaced_by_the_processor():
    reading = await asked(_Kind(problem="the driver is lost"), _Kind())
    assert (reading.devices, reading.problem, reading.mend) == ((), "the driver is lost", "mend it")


async def test_kinds_are_numbered_through_and_a_lost_card_keeps_its_number():
    nvidia = _Kind(device("nvidia", 0), problem="GPU 1 is lost", lost=(device("nvidia", 1),))
    reading = await asked(nvidia, _Kind(device("amd", 0), device("amd", 1)), _Kind(device("intel")))
    assert [(one.index, one.kind) for one in reading.devices] == [
        (0, "nvidia"),
        (2, "amd"),
        (3, "amd"),
        (4, "intel"),
    ]
    assert [one.index for one in reading.lost] == [1]


async def test_troubles_of_two_drivers_are_both_told():
    reading = await asked(_Kind(problem="one"), _Kind(problem="two"))
    assert (reading.problem, reading.mend) == ("one; two", "mend it; mend it")


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_each_system_has_its_kinds(monkeypatch, platform):
    monkeypatch.setattr(sys, "platform", platform)
    kinds = {type(kind).__name__ for kind in machine_probe()._accelerators}
    assert ("NvmlProbe" in kinds) == (platform != "darwin")
    assert ("AppleProbe" in kinds) == (platform == "darwin")
    assert ("AmdProbe" in kinds) == (platform == "linux")


def test_this_machine_has_at_least_one_device_or_a_problem():
    reading = machine_probe().now()
    assert reading.devices or reading.problem
