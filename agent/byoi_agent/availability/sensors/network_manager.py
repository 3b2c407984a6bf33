"""NetworkManager: whether the network is one that costs by the byte."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from byoi_agent.availability.readings import MachineReading
from byoi_agent.availability.sensors.bus import BusTrouble, Place
from byoi_agent.availability.sensors.bus_properties import PropertiesSensor

if TYPE_CHECKING:
    from collections.abc import Mapping

_SERVICE: Final = "org.freedesktop.NetworkManager"
_PLACE: Final = Place(_SERVICE, "/org/freedesktop/NetworkManager", _SERVICE)
_METERED: Final[dict[int, bool | None]] = {0: None, 1: True, 2: False, 3: True, 4: False}
"""`NMMetered`: unknown, yes, no, guessed yes, guessed no."""


class NetworkManagerSensor(PropertiesSensor):
    """Asks for `Metered`; another network is told by a signal."""

    def __init__(self, address: str) -> None:
        super().__init__(address, _PLACE, _understood, name="networkmanager", every_seconds=30.0)


def _understood(properties: Mapping[str, object]) -> MachineReading:
    told = properties.get("Metered")
    if isinstance(told, bool) or not isinstance(told, int) or told not in _METERED:
        raise BusTrouble(f"{_SERVICE} does not answer as it should")
    return MachineReading(is_metered=_METERED[told])
