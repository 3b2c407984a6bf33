"""Watches the GPUs for processes that are none of ours, several times a second."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from byoi_agent.availability.sensors.one_thread import OneThread, Silent
from byoi_agent.availability.strangers import strangers
from byoi_agent.hardware.foreign import GpuUsesLook, counts_processes_alike
from byoi_agent.hardware.host import ancestors, process_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from byoi_agent.availability.readings import ForeignUse
    from byoi_agent.clock import Clock
    from byoi_agent.hardware.devices import GpuUses
    from byoi_agent.telemetry.health import Health

LOOK_SECONDS: Final = 0.2
"""Between looks while the node serves: what the promise of two seconds can spare."""

AWAY_SECONDS: Final = 1.0
"""Between looks while it does not: its return is no matter of tenths."""

EMPTY_SECONDS: Final = 15.0
"""Between looks at a machine whose drivers list no GPU."""

HUNG_SECONDS: Final = 5.0
_UNMATCHED: Final = "gpu-programs-unknown"


class ForeignGpu:
    """Sole owner of the quick look at the GPUs; `told` hears of each change.

    `roots` are the processes that are ours with all that they started; a process is judged once,
    as long as it is listed. A driver that hangs is waited for in a thread of its own, and what was
    seen last holds.
    """

    def __init__(
        self,
        told: Callable[[tuple[ForeignUse, ...]], None],
        *,
        is_wanted: Callable[[], bool],
        is_serving: Callable[[], bool],
        clock: Clock,
        health: Health,
        look: Callable[[], GpuUses] | None = None,
        roots: Callable[[], Iterable[int]] = lambda: (os.getpid(),),
        can_match: Callable[[], bool] = counts_processes_alike,
    ) -> None:
        self._told = told
        self._is_wanted = is_wanted
        self._is_serving = is_serving
        self._clock = clock
        self._health = health
        self._thread = OneThread("programs on GPUs", look or GpuUsesLook(), HUNG_SECONDS)
        self._roots = roots
        self._can_match = can_match
        self._judged: dict[int, tuple[bool, str | None]] = {}
        self._last: tuple[ForeignUse, ...] = ()

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                await self._clock.sleep_until(self._clock.monotonic() + await self._turn())
        finally:
            self._thread.close()

    async def uses(self) -> GpuUses | None:
        """One look now, for whoever must see the memory come back; None: the driver hangs."""
        try:
            return await self._thread.ask()
        except Silent:
            return None

    async def _turn(self) -> float:
        """Look, where that is wanted; the seconds until the next turn."""
        if not self._is_wanted():
            self._tell(())
            self._health.clear(_UNMATCHED)
            return AWAY_SECONDS
        uses = await self.uses()
        if uses is None:
            return LOOK_SECONDS
        if not self._can_match():
            self._say_unmatched(uses)
            return EMPTY_SECONDS
        self._tell(self._strangers(uses))
        if not uses.used_bytes and not uses.holders:
            return EMPTY_SECONDS
        return LOOK_SECONDS if self._is_serving() else AWAY_SECONDS

    def _strangers(self, uses: GpuUses) -> tuple[ForeignUse, ...]:
        here = {one.pid for one in uses.holders}
        self._judged = {pid: known for pid, known in self._judged.items() if pid in here}
        return strangers(
            uses.holders,
            is_ours=lambda pid: self._judge(pid)[0],
            name_of=lambda pid: self._judge(pid)[1],
        )

    def _judge(self, pid: int) -> tuple[bool, str | None]:
        if pid not in self._judged:
            is_ours = not ancestors(pid).isdisjoint(self._roots())
            self._judged[pid] = is_ours, process_name(pid)
        return self._judged[pid]

    def _tell(self, found: tuple[ForeignUse, ...]) -> None:
        if found != self._last:
            self._last = found
            self._told(found)

    def _say_unmatched(self, uses: GpuUses) -> None:
        if not uses.used_bytes:
            self._health.clear(_UNMATCHED)
            return
        self._health.warn(
            _UNMATCHED,
            "the node runs in a container with process numbers of its own, so that it cannot tell "
            "other programs on the GPUs from its own engines",
            "start the container with --pid=host, or set idle.foreign_gpu off",
        )
