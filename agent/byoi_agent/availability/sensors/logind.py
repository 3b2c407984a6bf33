"""The login manager of Linux: who sits at this machine; also a system service may ask it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from byoi_agent.availability.readings import SessionReading
from byoi_agent.availability.sensors.bus import Bus, BusTrouble, Place
from byoi_agent.availability.sensors.face import idle_seconds, truth, words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_SERVICE: Final = "org.freedesktop.login1"
_MANAGER: Final = Place(_SERVICE, "/org/freedesktop/login1", "org.freedesktop.login1.Manager")
_SESSION: Final = "org.freedesktop.login1.Session"
_RULES: Final = (
    f"type='signal',sender='{_SERVICE}',interface='org.freedesktop.login1.Manager'",
    f"type='signal',sender='{_SERVICE}',interface='org.freedesktop.DBus.Properties',"
    "path_namespace='/org/freedesktop/login1/session'",
)
COARSE: Final = "logind"
"""Source of what a desktop told logind: minutes late."""

TERMINAL: Final = "terminal"

_GRAPHICAL: Final = frozenset({"x11", "wayland", "mir"})
_MOST_SESSIONS: Final = 64
_MICROSECONDS: Final = 1_000_000
_PATH_FIELD: Final = 4
"""Of `ListSessions`: id, uid, name, seat, path."""


class LogindSensor:
    """Asks for the sessions at this machine's screens; changes are told by signals.

    What a desktop does not tell logind is not known here: the sensors of the session itself say
    more.
    """

    name = COARSE
    every_seconds = 5.0

    def __init__(self, address: str, now: Callable[[], float] = time.monotonic) -> None:
        self.trouble: str | None = None
        self._now = now
        self._tell: Callable[[], None] = lambda: None
        self._bus = Bus(address, _RULES, lambda _member, _body: self._tell())

    def on_change(self, tell: Callable[[], None]) -> None:
        """Whom to tell when a session changes."""
        self._tell = tell

    async def read(self) -> tuple[SessionReading, ...] | None:
        """The sessions of people who sit here now; empty if there is nobody."""
        try:
            listed = await self._bus.call(_MANAGER, "ListSessions")
            told = [
                await self._bus.properties(Place(_SERVICE, path, _SESSION))
                for path in session_paths(listed)
            ]
        except BusTrouble as trouble:
            self.trouble = str(trouble)
            return None
        self.trouble = None
        return sessions_of(told, self._now())

    async def close(self) -> None:
        """Leave the bus."""
        await self._bus.close()


def session_paths(answer: list[object]) -> list[str]:
    """Where the sessions are, of the answer to `ListSessions`; bounded."""
    rows = answer[0] if answer and isinstance(answer[0], list) else []
    return [
        row[_PATH_FIELD]
        for row in rows[:_MOST_SESSIONS]
        if isinstance(row, list | tuple)
        and len(row) > _PATH_FIELD
        and isinstance(row[_PATH_FIELD], str)
    ]


def sessions_of(told: Iterable[Mapping[str, object]], now: float) -> tuple[SessionReading, ...]:
    """Those at a screen of this machine; who is logged in from afar on a terminal is not.

    `now` is of the clock that never goes back.
    """
    return tuple(_reading(one, now) for one in told if _is_here(one))


def _is_here(session: Mapping[str, object]) -> bool:
    if session.get("Class") not in {"user", "user-early"} or session.get("State") == "closing":
        return False
    seat = session.get("Seat")
    has_seat = isinstance(seat, list | tuple) and bool(seat) and bool(seat[0])
    if has_seat and session.get("Active") is False:
        return False  # somebody else has the screen and the keyboard now
    return has_seat or session.get("Type") in _GRAPHICAL


def _reading(session: Mapping[str, object], now: float) -> SessionReading:
    is_told_by_desktop = session.get("Type") in _GRAPHICAL
    return SessionReading(
        user=words(session.get("Name")) or "unknown",
        idle_seconds=_idle(session, now),
        is_locked=truth(session.get("LockedHint")),
        sources=(COARSE if is_told_by_desktop else TERMINAL,),
    )


def _idle(session: Mapping[str, object], now: float) -> float | None:
    """Seconds without input; None where a desktop has not told.

    Of a terminal, `IdleSinceHint` is the last input (logind reads the terminal's time of access).
    A desktop sets the hint itself after some minutes, and before that it tells nothing.
    """
    since = session.get("IdleSinceHintMonotonic")
    if isinstance(since, bool) or not isinstance(since, int) or since <= 0:
        return None
    if session.get("Type") in _GRAPHICAL and session.get("IdleHint") is not True:
        return None
    return idle_seconds(max(0.0, now - since / _MICROSECONDS))
