"""Who holds memory of the GPUs just now: a look small enough to be taken several times a second.

NVIDIA's driver lists processes with their memory (none of it on Windows' WDDM, where the system
gives it out); AMD's lists those that compute (KFD). Intel's driver tells of a process only in the
files of its descriptors, which others than its user cannot read: nothing is told of it here.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from byoi_agent.hardware import sysfs
from byoi_agent.hardware.devices import GpuUses, Holder
from byoi_agent.hardware.nvml import LIBRARY, import_pynvml
from byoi_agent.hardware.nvml_card import CardLost, Foreign, NvmlCard
from byoi_agent.hardware.sysfs import DeviceGone

if TYPE_CHECKING:
    from collections.abc import Callable

_COMPUTE: Final = (
    "nvmlDeviceGetComputeRunningProcesses",
    "nvmlDeviceGetMPSComputeRunningProcesses",
)
_GRAPHICS: Final = "nvmlDeviceGetGraphicsRunningProcesses"
_FIRST_NAMESPACE: Final = 0xEFFFFFFC
"""Linux' PROC_PID_INIT_INO: the number of the namespace in which the drivers count processes."""


class GpuUsesLook:
    """Looks when called, in whichever thread that is; a driver that hangs hangs that thread.

    Below `root` lies the system.
    """

    def __init__(
        self, library: Callable[[], Foreign] = import_pynvml, root: Path = Path("/")
    ) -> None:
        self._library = library
        self._root = root

    def __call__(self) -> GpuUses:
        """What is held now; a card or a driver that is lost holds nothing."""
        holders: list[Holder] = []
        used: dict[int, int | None] = {}
        with LIBRARY, suppress(Exception):  # a driver's state, of which the probe tells the owner
            nvml = self._library()
            nvml.nvmlInit()
            try:
                for index in range(nvml.nvmlDeviceGetCount()):
                    used[index] = None
                    with suppress(CardLost):
                        card = NvmlCard.at(nvml, index)
                        used[index] = _used(card)
                        holders += _holders(card, index)
            finally:
                nvml.nvmlShutdown()
        with suppress(DeviceGone, OSError):
            holders += _of_kfd(self._root, first=len(used))
        return GpuUses(tuple(holders), used)


def counts_processes_alike(file: Path = Path("/proc/self/ns/pid")) -> bool:
    """Whether the drivers' process numbers are ours: not so in most containers."""
    if sys.platform != "linux":
        return True
    try:
        return file.stat().st_ino == _FIRST_NAMESPACE
    except OSError:
        return False


def _used(card: NvmlCard) -> int | None:
    memory = card.ask("nvmlDeviceGetMemoryInfo")
    return None if memory is None else int(memory.used)


def _holders(card: NvmlCard, index: int) -> list[Holder]:
    found: dict[int, Holder] = {}
    graphical = {one.pid for one in card.ask(_GRAPHICS) or ()}
    for call in (*_COMPUTE, _GRAPHICS):
        for one in card.ask(call) or ():
            if one.pid not in found:
                found[one.pid] = Holder(index, one.pid, one.usedGpuMemory, one.pid in graphical)
    return list(found.values())


def _of_kfd(root: Path, first: int) -> list[Holder]:
    """AMD's, which are numbered behind NVIDIA's; of the graphics' side nothing is told."""
    files = sorted(root.glob("sys/class/kfd/kfd/proc/*/vram_*"))
    numbers = {name: first + at for at, name in enumerate(sorted({file.name for file in files}))}
    return [
        Holder(numbers[file.name], int(file.parent.name), held)
        for file in files
        if file.parent.name.isdigit() and (held := sysfs.number(file))
    ]
