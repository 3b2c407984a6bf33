"""NetworkManager: whether the network is one that costs by the byte."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from byoi_agent.availability.readings import MachineReading
from byoi_agent.availability.sensors.bus import Bus, BusTrouble, Place

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_SERVICE: Final = "org.freedesktop.NetworkManager"
_PLACE: Final = Place(_SERVICE, "/org/freedesktop/NetworkManager", _SERVICE)
_RULE: Final = (
    f"type='signal',sender='{_SERVICE}',path='{_PLACE.path}',"
    "interface='org.freedesktop.DBus.Properties'"
)
_METERED: Final[dict[int, bool | None]] = {0: None, 1: True, 2: False, 3: True, 4: False}
"""`NMMetered`: unknown, yes, no, guessed yes, guessed no."""


class NetworkManagerSensor:
    """Asks for `Metered`; another network is told by a signal."""

    name = "networkmanager"
    every_seconds = 30.0

    def __init__(self, address: str) -> None:
        self.trouble: str | None = None
        self._tell: Callable[[], None] = lambda: None
        self._bus = Bus(address, (_RULE,), lambda _member, _body: self._tell())

    def on_change(self, tell: Callable[[], None]) -> None:
        """Whom to tell when something changes."""
        self._tell = tell

    async def read(self) -> MachineReading | None:
        """Metered or not, or not known; None without NetworkManager."""
        try:
            is_metered = _told(await self._bus.properties(_PLACE))
        except BusTrouble as trouble:
            self.trouble = str(trouble)
            return None
        self.trouble = None
        return MachineReading(is_metered=is_metered)

    async def close(self) -> None:
        """Leave the bus."""
        await self._bus.close()


def _told(properties: Mapping[str, object]) -> bool | None:
    told = properties.get("Metered")
    if isinstance(told, bool) or not isinstance(told, int) or told not in _METERED:
        raise BusTrouble(f"{_SERVICE} does not answer as it should")
    return _METERED[told]
