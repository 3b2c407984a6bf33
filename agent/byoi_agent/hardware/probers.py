"""All accelerators of this machine, of whatever make; the processor where there is none."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from byoi_agent.hardware.amd import AmdProbe
from byoi_agent.hardware.apple import AppleProbe
from byoi_agent.hardware.cpu import CpuProbe
from byoi_agent.hardware.devices import ProbeReading
from byoi_agent.hardware.intel import IntelProbe
from byoi_agent.hardware.nvml import NvmlProbe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from byoi_agent.hardware.devices import DeviceReading
    from byoi_agent.hardware.looking import Prober


class MachineProbe:
    """Asks each kind; the devices are numbered through, NVIDIA's as CUDA numbers them.

    The processor is a device only where no accelerator is, nor one that cannot be read.
    """

    def __init__(self, accelerators: Sequence[Prober], processor: Prober) -> None:
        self._accelerators = accelerators
        self._processor = processor

    async def read(self) -> ProbeReading:
        """One look at all of them; a fault of a driver is in the reading."""
        async with asyncio.TaskGroup() as tasks:
            looks = [tasks.create_task(kind.read()) for kind in self._accelerators]
        found = _joined([look.result() for look in looks])
        return found if _has_any(found) else await self._processor.read()

    def now(self) -> ProbeReading:
        """The same, waited for: to choose by what is here before anything runs."""
        found = _joined([kind.now() for kind in self._accelerators])
        return found if _has_any(found) else self._processor.now()


def machine_probe() -> MachineProbe:
    """For this machine; keep it: power is told by the difference between two looks at some kinds.

    One that is asked once and thrown away costs a thread for each kind.
    """
    if sys.platform == "darwin":
        return MachineProbe([AppleProbe()], CpuProbe())
    if sys.platform == "linux":
        return MachineProbe([NvmlProbe(), AmdProbe(), IntelProbe()], CpuProbe())
    return MachineProbe([NvmlProbe()], CpuProbe())


def _has_any(reading: ProbeReading) -> bool:
    return bool(reading.devices) or reading.problem is not None


def _joined(readings: Sequence[ProbeReading]) -> ProbeReading:
    devices: list[DeviceReading] = []
    lost: list[DeviceReading] = []
    problems: list[str] = []
    mends: list[str] = []
    first = 0
    for reading in readings:
        moved = reading.from_index(first)
        devices += moved.devices
        lost += moved.lost
        if reading.problem is not None:
            problems.append(reading.problem)
            mends.append(reading.mend)
        first = 1 + max((one.index for one in (*devices, *lost)), default=first - 1)
    return ProbeReading(tuple(devices), "; ".join(problems) or None, "; ".join(mends), tuple(lost))
