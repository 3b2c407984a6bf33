"""The desktop's screen saver by freedesktop's name (KDE, Xfce, MATE …): locked, and idle time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from byoi_agent.availability.readings import SessionReading
from byoi_agent.availability.sensors.bus import Bus, BusTrouble, Place
from byoi_agent.availability.sensors.face import idle_seconds, truth

if TYPE_CHECKING:
    from collections.abc import Callable

_NAMES: Final = ("org.freedesktop.ScreenSaver", "org.gnome.ScreenSaver")
_MILLISECONDS: Final = 1000.0
_SLOWEST, _FASTEST = 0.5, 2.0
"""How much a clock may grow in a second and still be one of seconds."""


class Unit:
    """Learns what a time without input is counted in: the interface says seconds, KDE milliseconds.

    Sole owner of the last number and when it was read.
    """

    def __init__(self) -> None:
        self._before: tuple[float, float] | None = None
        self._per_second: float | None = None

    def seconds(self, value: object, now: float) -> float | None:
        """The number in seconds; None until two numbers have told what it is counted in."""
        told = idle_seconds(value)
        if told is None:
            return None
        if self._before is not None and self._per_second is None:
            grown, passed = told - self._before[0], now - self._before[1]
            if passed > 0:
                self._per_second = _counted_in(grown / passed)
        if self._before is None or now - self._before[1] >= 1 or told < self._before[0]:
            self._before = told, now
        return None if self._per_second is None else told / self._per_second


def _counted_in(growth: float) -> float | None:
    if _SLOWEST <= growth <= _FASTEST:
        return 1.0
    is_thousand = _SLOWEST <= growth / _MILLISECONDS <= _FASTEST
    return _MILLISECONDS if is_thousand else None


class ScreenSaverSensor:
    """Asks whether the screen is covered, and how long nothing was typed where that is told.

    KWin on Wayland does not tell the time; being asked for it costs nothing.
    """

    name = "screensaver"
    every_seconds = 1.0

    def __init__(
        self, address: str | None, user: str, now: Callable[[], float] = time.monotonic
    ) -> None:
        self.trouble: str | None = None
        self._user = user
        self._now = now
        self._unit = Unit()
        self._tell: Callable[[], None] = lambda: None
        self._bus = Bus(address, tuple(_rule(name) for name in _NAMES), self._changed)

    def on_change(self, tell: Callable[[], None]) -> None:
        """Whom to tell when the screen is covered or uncovered."""
        self._tell = tell

    async def read(self) -> tuple[SessionReading, ...] | None:
        """This session; None where there is no such screen saver."""
        troubles = []
        for name in _NAMES:
            place = Place(name, f"/{name.replace('.', '/')}", name)
            try:
                is_locked = await self._asked(place, "GetActive")
            except BusTrouble as trouble:
                troubles.append(str(trouble))
                continue
            idle = self._unit.seconds(await self._idle(place), self._now())
            self.trouble = None
            return (SessionReading(self._user, idle, truth(is_locked), sources=(self.name,)),)
        self.trouble = troubles[0]
        return None

    async def close(self) -> None:
        """Leave the bus."""
        await self._bus.close()

    async def _idle(self, place: Place) -> object:
        try:
            return await self._asked(place, "GetSessionIdleTime")
        except BusTrouble:
            return None  # not every one has it

    async def _asked(self, place: Place, member: str) -> object:
        answer = await self._bus.call(place, member)
        return answer[0] if answer else None

    def _changed(self, _member: str, _body: list[object]) -> None:
        self._tell()


def _rule(name: str) -> str:
    return f"type='signal',sender='{name}',interface='{name}',member='ActiveChanged'"
