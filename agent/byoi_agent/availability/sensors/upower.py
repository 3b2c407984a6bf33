"""UPower: whether the machine runs on battery."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from byoi_agent.availability.readings import MachineReading
from byoi_agent.availability.sensors.bus import BusTrouble, Place
from byoi_agent.availability.sensors.bus_properties import PropertiesSensor
from byoi_agent.availability.sensors.face import truth

if TYPE_CHECKING:
    from collections.abc import Mapping

_SERVICE: Final = "org.freedesktop.UPower"
_PLACE: Final = Place(_SERVICE, "/org/freedesktop/UPower", _SERVICE)


class UPowerSensor(PropertiesSensor):
    """Asks for `OnBattery`; a plug that is pulled is told by a signal."""

    def __init__(self, address: str) -> None:
        super().__init__(address, _PLACE, _understood, name="upower", every_seconds=10.0)


def _understood(properties: Mapping[str, object]) -> MachineReading:
    on_battery = truth(properties.get("OnBattery"))
    if on_battery is None:
        raise BusTrouble(f"{_SERVICE} does not answer as it should")
    return MachineReading(on_battery=on_battery)
