"""UPower: whether the machine runs on battery."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from byoi_agent.availability.readings import MachineReading
from byoi_agent.availability.sensors.bus import Bus, BusTrouble, Place
from byoi_agent.availability.sensors.face import truth

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_PLACE: Final = Place("org.freedesktop.UPower", "/org/freedesktop/UPower", "org.freedesktop.UPower")
_RULE: Final = (
    "type='signal',sender='org.freedesktop.UPower',path='/org/freedesktop/UPower',"
    "interface='org.freedesktop.DBus.Properties'"
)


class UPowerSensor:
    """Asks for `OnBattery`; a plug that is pulled is told by a signal."""

    name = "upower"
    every_seconds = 10.0

    def __init__(self, address: str) -> None:
        self.trouble: str | None = None
        self._tell: Callable[[], None] = lambda: None
        self._bus = Bus(address, (_RULE,), lambda _member, _body: self._tell())

    def on_change(self, tell: Callable[[], None]) -> None:
        """Whom to tell when something changes."""
        self._tell = tell

    async def read(self) -> MachineReading | None:
        """On battery or not; None without UPower."""
        try:
            on_battery = _told(await self._bus.properties(_PLACE))
        except BusTrouble as trouble:
            self.trouble = str(trouble)
            return None
        self.trouble = None
        return MachineReading(on_battery=on_battery)

    async def close(self) -> None:
        """Leave the bus."""
        await self._bus.close()


def _told(properties: Mapping[str, object]) -> bool:
    on_battery = truth(properties.get("OnBattery"))
    if on_battery is None:
        raise BusTrouble(f"{_PLACE.service} does not answer as it should")
    return on_battery
