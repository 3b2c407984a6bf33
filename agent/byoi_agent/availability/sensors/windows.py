"""Windows: time without input, full screen, mains; from inside a person's session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from byoi_agent.availability.readings import MachineReading, SessionReading
from byoi_agent.availability.sensors.face import words
from byoi_agent.hardware.host import process_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from byoi_agent.availability.sensors.windows_calls import Win32

_TICKS: Final = 1 << 32
_AHEAD: Final = 1 << 31
_NOT_PRESENT: Final = 1
"""`QUNS_NOT_PRESENT`: the screen saver runs, the screen is locked, or another user has it."""

_FULL_SCREEN: Final = frozenset({2, 3, 4, 7})
"""`QUNS_BUSY`, `…_RUNNING_D3D_FULL_SCREEN`, `…_PRESENTATION_MODE`, `…_APP` (one of the store)."""

_UNNAMED: Final = "a program"


class WindowsSession:
    """Three calls that only look into the session's own memory: cheap, and none can block."""

    name = "windows"
    every_seconds = 0.25

    def __init__(
        self,
        calls: Win32,
        user: str,
        name_of: Callable[[int], str | None] = process_name,
    ) -> None:
        self.trouble: str | None = None
        self._calls = calls
        self._user = user
        self._name_of = name_of

    def on_change(self, tell: Callable[[], None]) -> None:
        """Nobody is told: the system is asked often enough."""

    async def read(self) -> tuple[SessionReading, ...] | None:
        """This session; None where neither input nor screen can be asked, as in a service."""
        last, state = self._calls.last_input_ticks(), self._calls.notification_state()
        if last is None and state is None:
            self.trouble = "Windows tells only programs of a person's session"
            return None
        self.trouble = None
        idle = None if last is None else idle_of(last, self._calls.ticks())
        is_locked = None if state is None else state == _NOT_PRESENT
        shown = self._front() if state in _FULL_SCREEN else None
        return (SessionReading(self._user, idle, is_locked, shown, (self.name,)),)

    async def close(self) -> None:
        """Nothing is held."""

    def _front(self) -> str:
        pid = self._calls.front_process()
        return words(self._name_of(pid) if pid else None) or _UNNAMED


class WindowsPower:
    """Whether the machine has mains."""

    name = "windows-power"
    every_seconds = 3.0

    def __init__(self, calls: Win32) -> None:
        self.trouble: str | None = None
        self._calls = calls

    def on_change(self, tell: Callable[[], None]) -> None:
        """Nobody is told."""

    async def read(self) -> MachineReading | None:
        """On battery or not; None if Windows does not know."""
        line = self._calls.line_status()
        if line not in {0, 1}:
            self.trouble = "Windows does not know whether the machine has mains"
            return None
        self.trouble = None
        return MachineReading(on_battery=line == 0)

    async def close(self) -> None:
        """Nothing is held."""


def idle_of(last: int, now: int) -> float:
    """Seconds between two counts of milliseconds that begin anew after 49.7 days.

    Input between the two calls makes the last one the later: no time at all.
    """
    passed = (now - last) % _TICKS
    return 0.0 if passed >= _AHEAD else passed / 1000
