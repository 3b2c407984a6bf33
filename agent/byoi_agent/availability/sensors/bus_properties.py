"""A system service whose properties tell of the machine, and which signals when they change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from byoi_agent.availability.sensors.bus import Bus, BusTrouble

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from byoi_agent.availability.readings import MachineReading
    from byoi_agent.availability.sensors.bus import Place


class PropertiesSensor:
    """What services of this kind have in common.

    `understand` makes a reading of the properties, and raises BusTrouble where they are not as the
    service's documentation has them.
    """

    def __init__(
        self,
        address: str,
        place: Place,
        understand: Callable[[Mapping[str, object]], MachineReading],
        *,
        name: str,
        every_seconds: float,
    ) -> None:
        self.name = name
        self.every_seconds = every_seconds
        self.trouble: str | None = None
        self._place = place
        self._understand = understand
        self._tell: Callable[[], None] = lambda: None
        rule = (
            f"type='signal',sender='{place.service}',path='{place.path}',"
            "interface='org.freedesktop.DBus.Properties'"
        )
        self._bus = Bus(address, (rule,), lambda _member, _body: self._tell())

    def on_change(self, tell: Callable[[], None]) -> None:
        """Whom to tell when something changes."""
        self._tell = tell

    async def read(self) -> MachineReading | None:
        """What the service says; None without it."""
        try:
            reading = self._understand(await self._bus.properties(self._place))
        except BusTrouble as trouble:
            self.trouble = str(trouble)
            return None
        self.trouble = None
        return reading

    async def close(self) -> None:
        """Leave the bus."""
        await self._bus.close()
