"""GNOME's compositor: how long nothing was typed or moved, on X and on Wayland alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from byoi_agent.availability.readings import SessionReading
from byoi_agent.availability.sensors.bus import Bus, BusTrouble, Place
from byoi_agent.availability.sensors.face import idle_seconds

if TYPE_CHECKING:
    from collections.abc import Callable

_MONITOR: Final = Place(
    "org.gnome.Mutter.IdleMonitor",
    "/org/gnome/Mutter/IdleMonitor/Core",
    "org.gnome.Mutter.IdleMonitor",
)
_RULE: Final = (
    "type='signal',sender='org.gnome.Mutter.IdleMonitor',"
    "interface='org.gnome.Mutter.IdleMonitor',member='WatchFired'"
)
_AWAY_SECONDS: Final = 2.0
"""From then on the compositor is asked to tell of the next input."""


class MutterSensor:
    """Asks for the time, and to be told of the first input after a while without any."""

    name = "mutter"
    every_seconds = 0.5

    def __init__(self, address: str | None, user: str) -> None:
        self.trouble: str | None = None
        self._user = user
        self._tell: Callable[[], None] = lambda: None
        self._bus = Bus(address, (_RULE,), self._fired)
        self._is_watched = False

    def on_change(self, tell: Callable[[], None]) -> None:
        """Whom to tell of the first input."""
        self._tell = tell

    async def read(self) -> tuple[SessionReading, ...] | None:
        """This session; None without GNOME."""
        was_connected = self._bus.is_connected
        try:
            answer = await self._bus.call(_MONITOR, "GetIdletime")
            idle = _told(answer)
            if idle >= _AWAY_SECONDS and not (self._is_watched and was_connected):
                await self._bus.call(_MONITOR, "AddUserActiveWatch")
                self._is_watched = True
        except BusTrouble as trouble:
            self.trouble = str(trouble)
            self._is_watched = False
            return None
        self.trouble = None
        return (SessionReading(self._user, idle_seconds=idle, sources=(self.name,)),)

    async def close(self) -> None:
        """Leave the bus; the compositor forgets its watch with it."""
        await self._bus.close()

    def _fired(self, _member: str, _body: list[object]) -> None:
        self._is_watched = False
        self._tell()


def _told(answer: list[object]) -> float:
    idle = idle_seconds(answer[0] if answer else None, per_second=1000)
    if idle is None:
        raise BusTrouble(f"{_MONITOR.service} does not answer as it should")
    return idle
