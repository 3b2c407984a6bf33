"""macOS: time without input and the screen's lock by `ioreg`, mains by `pmset`."""

from __future__ import annotations

import plistlib
import subprocess
from typing import TYPE_CHECKING, Final

from byoi_agent.availability.readings import MachineReading, SessionReading
from byoi_agent.availability.sensors.face import idle_seconds, truth, words
from byoi_agent.availability.sensors.one_thread import OneThread, Silent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_INPUT: Final = ("/usr/sbin/ioreg", "-a", "-r", "-c", "IOHIDSystem", "-d", "1")
_CONSOLE: Final = ("/usr/sbin/ioreg", "-a", "-n", "Root", "-d", "1")
_POWER: Final = ("/usr/bin/pmset", "-g", "batt")
_COMMAND_SECONDS: Final = 2.0
_CALL_SECONDS: Final = 5.0
_NANOSECONDS: Final = 1e9
_LONGEST_ANSWER_BYTES: Final = 4 << 20
_CONSOLE_EVERY: Final = 4
"""Who sits there and whether it is locked is asked at every fourth look."""


class MacSession:
    """Sole owner of what was last told of the people at the console.

    The time without input is the machine's, whoever sits there; also a service may ask for it.
    """

    name = "ioreg"
    every_seconds = 0.5

    def __init__(self, user: str, ask: Callable[[Sequence[str]], bytes] | None = None) -> None:
        self.trouble: str | None = None
        self._user = user
        self._ask = ask or run
        self._looks = 0
        self._people: tuple[SessionReading, ...] = ()
        self._thread = OneThread("ioreg", self._look, _CALL_SECONDS)

    def on_change(self, tell: Callable[[], None]) -> None:
        """Nobody is told: the system is asked often enough."""

    async def read(self) -> tuple[SessionReading, ...] | None:
        """Whoever sits at the console; empty if nobody is logged in there."""
        try:
            said = await self._thread.ask()
        except (Silent, OSError, ValueError, subprocess.SubprocessError) as error:
            self.trouble = f"ioreg does not answer as it should: {error}"
            return None
        self.trouble = None
        return said

    async def close(self) -> None:
        """Let the thread end."""
        self._thread.close()

    def _look(self) -> tuple[SessionReading, ...]:
        idle = idle_of(self._ask(_INPUT))
        if self._looks % _CONSOLE_EVERY == 0:
            self._people = people_of(self._ask(_CONSOLE), self._user)
        self._looks += 1
        return tuple(
            SessionReading(one.user, idle, one.is_locked, sources=(self.name,))
            for one in self._people
        )


class MacPower:
    """Whether the machine has mains."""

    name = "pmset"
    every_seconds = 5.0

    def __init__(self, ask: Callable[[Sequence[str]], bytes] | None = None) -> None:
        self.trouble: str | None = None
        self._ask = ask or run
        self._thread = OneThread("pmset", self._look, _CALL_SECONDS)

    def on_change(self, tell: Callable[[], None]) -> None:
        """Nobody is told."""

    async def read(self) -> MachineReading | None:
        """On battery or not."""
        try:
            on_battery = await self._thread.ask()
        except (Silent, OSError, ValueError, subprocess.SubprocessError) as error:
            self.trouble = f"pmset does not answer as it should: {error}"
            return None
        self.trouble = None
        return MachineReading(on_battery=on_battery)

    async def close(self) -> None:
        """Let the thread end."""
        self._thread.close()

    def _look(self) -> bool:
        return on_battery_of(self._ask(_POWER))


def idle_of(answer: bytes) -> float | None:
    """Seconds without input, of ioreg's list of `IOHIDSystem`.

    Raises:
        ValueError: it is no such list.
    """
    found = _plist(answer)
    systems = found if isinstance(found, list) else [found]
    for system in systems:
        if isinstance(system, dict) and "HIDIdleTime" in system:
            return idle_seconds(system["HIDIdleTime"], per_second=_NANOSECONDS)
    raise ValueError("there is no HIDIdleTime")


def people_of(answer: bytes, fallback: str) -> tuple[SessionReading, ...]:
    """Who is at the console, of ioreg's root: `IOConsoleUsers`.

    Raises:
        ValueError: it is no such thing.
    """
    root = _plist(answer)
    users = root.get("IOConsoleUsers", []) if isinstance(root, dict) else []
    return tuple(
        SessionReading(
            words(user.get("kCGSSessionUserNameKey")) or fallback,
            is_locked=truth(user.get("CGSSessionScreenIsLocked", False)),
        )
        for user in (users if isinstance(users, list) else [])
        # The login window is a session too, of nobody.
        if isinstance(user, dict)
        and user.get("kCGSSessionOnConsoleKey") is True
        and user.get("kCGSSessionLoginDoneKey") is not False
    )


def on_battery_of(answer: bytes) -> bool:
    """Of pmset's first line: "Now drawing from 'AC Power'".

    Raises:
        ValueError: it says neither.
    """
    first = answer.partition(b"\n")[0]
    if b"'AC Power'" in first:
        return False
    if b"'Battery Power'" in first or b"'UPS Power'" in first:
        return True
    raise ValueError("it names no source of power")


def run(command: Sequence[str]) -> bytes:
    """What one of the commands above prints."""
    done = subprocess.run(  # noqa: S603 one of the three above
        command, capture_output=True, timeout=_COMMAND_SECONDS, check=True
    )
    return done.stdout[:_LONGEST_ANSWER_BYTES]


def _plist(answer: bytes) -> object:
    try:
        return plistlib.loads(answer)
    except Exception as error:  # whatever its parser raises, it is no list of properties
        raise ValueError("it is no list of properties") from error
