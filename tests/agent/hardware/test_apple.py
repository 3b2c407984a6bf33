from __future__ import annotations

import json
import subprocess

import pytest

from byoi_agent.hardware.apple import AppleProbe
from byoi_agent.hardware.host import MemoryUse

GIB = 1024**3
PROFILE = {
    "SPDisplaysDataType": [
        {
            "_name": "Apple M3 Max",
            "spdisplays_mtlgpufamilysupport": "spdisplays_metal3",
            "spdisplays_ndrvs": [{"_name": "Color LCD"}],
            "spdisplays_vendor": "sppci_vendor_Apple",
            "sppci_bus": "spdisplays_builtin",
            "sppci_cores": "40",
            "sppci_device_type": "spdisplays_gpu",
            "sppci_model": "Apple M3 Max",
        }
    ]
}
RADEON = {"sppci_model": "AMD Radeon Pro 5500M", "spdisplays_vendor": "sppci_vendor_amd"}


class _Mac:
    """What macOS' commands print."""

    def __init__(self, profile):
        self.profile = profile
        self.asked = []

    def __call__(self, command):
        self.asked.append(command[0])
        return f"{128 * GIB}\n" if command[-1] == "hw.memsize" else json.dumps(self.profile)


def memory():
    return MemoryUse(128 * GIB, 28 * GIB, 100 * GIB)


async def test_a_chip_is_read_once_and_its_memory_each_time():
    mac = _Mac(PROFILE)
    probe = AppleProbe(mac, memory)
    await probe.read()
    (chip,) = (await probe.read()).devices
    assert len(mac.asked) == 2
    assert (chip.kind, chip.name, chip.cores) == ("apple", "Apple M3 Max", 40)
    assert chip.compute_capability == "metal3"
    assert (chip.memory_total_bytes, chip.memory_free_bytes) == (128 * GIB, 100 * GIB)
    assert chip.is_memory_unified is True
    assert (chip.power_watts, chip.temperature_celsius, chip.utilisation_percent) == (
        None,
        None,
        None,
    )


def test_other_makers_cards_in_older_machines_are_left_out():
    assert AppleProbe(_Mac({"SPDisplaysDataType": [RADEON]}), memory).now().devices == ()


def test_a_chip_that_tells_little_is_listed_without_zeros():
    bare = {"spdisplays_vendor": "sppci_vendor_Apple"}
    (chip,) = AppleProbe(_Mac({"SPDisplaysDataType": [bare]}), memory).now().devices
    assert (chip.name, chip.cores, chip.compute_capability) == ("Apple GPU", None, None)


@pytest.mark.parametrize(
    "fault",
    [FileNotFoundError("no system_profiler"), subprocess.TimeoutExpired("system_profiler", 8)],
)
def test_a_command_that_fails_is_a_problem_with_a_mend(fault):
    def ask(_):
        raise fault

    reading = AppleProbe(ask, memory).now()
    assert "cannot be read" in reading.problem
    assert "system_profiler" in reading.mend
