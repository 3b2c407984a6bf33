"""What programs that are not this node's hold of each GPU, by the driver's list of processes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from byoi_agent.hardware.host import ancestors as _ancestors

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from byoi_agent.hardware.devices import DeviceReading

_STEP_BYTES: Final = 256 * 1024**2
"""Rounded up to that: what others hold changes all the time, and by little. Less counts only once
it is a whole step less, so that a model at the limit does not fit and not fit by turns."""


class Others:
    """Sole owner of which of the processes on the GPUs were once seen to be this node's.

    And of what it told last, since a little less is no news.

    One that cannot be looked at, or is gone already, is nobody's: too little counted costs a load
    that fails, too much would keep a model out for nothing. Ask it only where the driver counts
    processes as this system does (`hardware.foreign.counts_processes_alike`).
    """

    def __init__(
        self, ancestors: Callable[[int], frozenset[int]] = _ancestors, own: int | None = None
    ) -> None:
        self._ancestors = ancestors
        self._own = os.getpid() if own is None else own
        self._ours: set[int] = set()
        self._told: dict[int, int] = {}

    def held(self, devices: Sequence[DeviceReading]) -> dict[int, int]:
        """Bytes by the GPU's number; none of a card that MIG splits, as nobody tells of which part.

        In whole steps of 256 MiB; it asks the system about each process that it has not seen yet.
        """
        listed = [process for device in devices for process in device.processes or ()]
        self._ours &= {process.pid for process in listed}
        found: dict[int, int] = {}
        for device in devices:
            sizes: dict[int, int] = {}  # a program may compute and draw: the driver lists it twice
            for process in device.processes or ():
                size = max(sizes.get(process.pid, 0), process.memory_used_bytes or 0)
                sizes[process.pid] = size
            held = sum(size for pid, size in sizes.items() if size and self._is_strange(pid))
            if held and not device.is_mig and not device.is_memory_unified:
                found[device.index] = self._rounded(device.index, held)
        self._told = found
        return found

    def _rounded(self, index: int, held: int) -> int:
        told = self._told.get(index, 0)
        is_little_less = told - 2 * _STEP_BYTES < held <= told
        return told if is_little_less else -(-held // _STEP_BYTES) * _STEP_BYTES

    def _is_strange(self, pid: int) -> bool:
        if pid in self._ours:
            return False
        line = self._ancestors(pid)
        if self._own in line:
            self._ours.add(pid)
            return False
        return len(line) > 1
