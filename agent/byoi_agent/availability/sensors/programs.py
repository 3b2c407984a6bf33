"""The owner's list of programs: which of them run now."""

from __future__ import annotations

import fnmatch
import re
import time
from typing import TYPE_CHECKING, Final

from byoi_agent.availability.readings import MachineReading
from byoi_agent.availability.sensors.one_thread import OneThread, Silent
from byoi_agent.hardware.host import process_name, running_pids

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_CALL_SECONDS: Final = 5.0
_YOUNG_SECONDS: Final = 10.0
"""How long a process may still become another program: a shell is first seen under its own name."""

_ALL_AGAIN_SECONDS: Final = 15.0
_MOST_SHOWN: Final = 20
_EVERY_SECONDS: Final = 0.5
_NOTHING_SECONDS: Final = 60.0


class Names:
    """Whether a program is on a list; `*` and `?` stand for others, case does not matter."""

    def __init__(self, patterns: Iterable[str]) -> None:
        either = "|".join(fnmatch.translate(pattern.casefold()) for pattern in patterns)
        self._expression = re.compile(either) if either else None

    def __bool__(self) -> bool:
        return self._expression is not None

    def __contains__(self, name: object) -> bool:
        if self._expression is None or not isinstance(name, str):
            return False
        plain = name.casefold()
        # The owner need not know that a program's file ends so.
        return any(self._expression.match(one) for one in (plain, plain.removesuffix(".exe")))


class Processes:
    """Sole owner of what the running processes are called; a name is asked for once or twice."""

    def __init__(
        self,
        pids: Callable[[], Iterable[int]] = running_pids,
        name_of: Callable[[int], str | None] = process_name,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pids = pids
        self._name_of = name_of
        self._now = now
        self._known: dict[int, tuple[float, str]] = {}
        self._all_at = 0.0

    def names(self) -> frozenset[str]:
        """What runs now."""
        now = self._now()
        if now >= self._all_at:  # numbers are given again, and programs become others
            self._known = {}
            self._all_at = now + _ALL_AGAIN_SECONDS
            since = now - _YOUNG_SECONDS
        else:
            since = now
        self._known = {pid: self._seen(pid, now, since) for pid in self._pids()}
        return frozenset(name for _, name in self._known.values() if name)

    def _seen(self, pid: int, now: float, since: float) -> tuple[float, str]:
        first, name = self._known.get(pid, (since, ""))
        if pid in self._known and now - first >= _YOUNG_SECONDS:
            return first, name
        return first, self._name_of(pid) or ""


class ProgramsSensor:
    """Looks which programs of the list run; with an empty list it looks at nothing."""

    name = "programs"

    def __init__(self, processes: Processes | None = None) -> None:
        self.trouble: str | None = None
        self._processes = processes or Processes()
        self._wanted = Names(())
        self._ignored = Names(())
        self._tell: Callable[[], None] = lambda: None
        self._thread = OneThread("programs", self._look, _CALL_SECONDS)

    @property
    def every_seconds(self) -> float:
        """Twice a second: what the owner named shall have the machine at once."""
        return _EVERY_SECONDS if self._wanted else _NOTHING_SECONDS

    def look_for(self, programs: Iterable[str], ignored: Iterable[str]) -> None:
        """The owner's lists, from now on."""
        self._wanted, self._ignored = Names(programs), Names(ignored)
        self._tell()

    def on_change(self, tell: Callable[[], None]) -> None:
        """Whom to tell of another list."""
        self._tell = tell

    async def read(self) -> MachineReading | None:
        """Those that run; None if the processes cannot be listed in time."""
        if not self._wanted:
            return MachineReading()
        try:
            found = await self._thread.ask()
        except (Silent, OSError) as error:
            self.trouble = f"the processes cannot be listed: {error}"
            return None
        self.trouble = None
        return MachineReading(programs=found)

    async def close(self) -> None:
        """Let the thread end."""
        self._thread.close()

    def _look(self) -> tuple[str, ...]:
        names = self._processes.names()
        found = sorted(name for name in names if name in self._wanted and name not in self._ignored)
        return tuple(found[:_MOST_SHOWN])
