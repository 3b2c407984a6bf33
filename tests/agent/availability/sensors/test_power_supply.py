from __future__ import annotations

import pytest

from byoi_agent.availability.readings import MachineReading
from byoi_agent.availability.sensors.power_supply import PowerSupplySensor

MAINS = {"type": "Mains", "online": "1"}
UNPLUGGED = {"type": "Mains", "online": "0"}
BATTERY = {"type": "Battery", "status": "Discharging", "scope": "System"}
FULL = {"type": "Battery", "status": "Full"}
MOUSE = {"type": "Battery", "status": "Discharging", "scope": "Device"}
USB = {"type": "USB", "online": "0"}


@pytest.mark.parametrize(
    ("supplies", "on_battery"),
    [
        ([MAINS, BATTERY], False),
        ([UNPLUGGED, BATTERY], True),
        ([UNPLUGGED, FULL], False),
        ([USB, USB | {"online": "1"}, BATTERY], False),
        ([BATTERY], True),
        ([MAINS], False),
        ([MAINS, MOUSE], False),
    ],
)
async def test_plugs_and_batteries_tell(tmp_path, supplies, on_battery):
    for number, supply in enumerate(supplies):
        folder = tmp_path / f"sys/class/power_supply/S{number}"
        folder.mkdir(parents=True)
        for name, text in supply.items():
            (folder / name).write_text(f"{text}\n")
    assert await PowerSupplySensor(tmp_path).read() == MachineReading(on_battery=on_battery)


@pytest.mark.parametrize("supplies", [[], [MOUSE]])
async def test_a_machine_without_either_tells_nothing(tmp_path, supplies):
    for supply in supplies:
        folder = tmp_path / "sys/class/power_supply/S"
        folder.mkdir(parents=True)
        for name, text in supply.items():
            (folder / name).write_text(text)
    sensor = PowerSupplySensor(tmp_path)
    assert await sensor.read() is None
    assert "power_supply" in sensor.trouble
