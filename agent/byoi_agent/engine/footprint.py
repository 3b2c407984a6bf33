"""How much memory an engine takes: its processes' own on the machine, or theirs on accelerators."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from byoi_agent.engine.guard import stat_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from byoi_agent.hardware.devices import DeviceReading

_PROC: Final = Path("/proc")
_LINE: Final = re.compile(r"^(VmHWM|VmRSS|Pss):\s+(\d+) kB", re.MULTILINE)


def tree_of(pid: int) -> tuple[int, ...]:
    """A process and all below it; empty where it is gone, or the system does not tell (Linux does).

    An engine's workers are its children; one that left its family is not counted.
    """
    if stat_of(pid) is None:
        return ()
    children: dict[int, list[int]] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdigit() and (stat := stat_of(int(entry.name))) and stat[0] not in "ZX":
            children.setdefault(stat[1], []).append(int(entry.name))
    found, todo = [pid], [pid]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return tuple(found)


def host_peak_bytes(pids: Iterable[int], proc: Path = _PROC) -> int | None:
    """The most that these processes took of the machine's memory, until now.

    What they share counts once (proportional set size); what each of them had more than now is
    added from its high-water mark. None where nothing of it can be read.
    """
    sizes = [size for pid in pids if (size := _peak_of(proc / str(pid))) is not None]
    return sum(sizes) if sizes else None


def device_bytes(devices: Sequence[DeviceReading], pids: Iterable[int]) -> int | None:
    """What these processes hold of all accelerators now; None where no driver names them.

    In a container without the machine's process ids, and under some of Windows' drivers, none does.
    """
    wanted = frozenset(pids)
    held = [
        process.memory_used_bytes
        for device in devices
        for process in device.processes or ()
        if process.pid in wanted and process.memory_used_bytes is not None
    ]
    return sum(held) if held else None


def growth_bytes(before: Sequence[DeviceReading], now: Sequence[DeviceReading]) -> int | None:
    """What accelerators hold more than before, whoever took it; None where none of them tells.

    For where no driver names an engine's processes.
    """
    held = {device.index: device.memory_used_bytes for device in before}
    grown = [
        max(0, device.memory_used_bytes - used)
        for device in now
        if device.memory_used_bytes is not None and (used := held.get(device.index)) is not None
    ]
    return sum(grown) if grown else None


def _peak_of(process: Path) -> int | None:
    try:
        status = _numbers((process / "status").read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return None  # it has just ended
    if "VmHWM" not in status or "VmRSS" not in status:
        return None  # a zombie has no memory
    shared = _numbers(_rollup(process)).get("Pss", status["VmRSS"])
    return shared + max(0, status["VmHWM"] - status["VmRSS"])


def _rollup(process: Path) -> str:
    try:
        return (process / "smaps_rollup").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""  # another user's, or a kernel before 4.14: then all that is resident counts


def _numbers(text: str) -> dict[str, int]:
    """Name → bytes; of a name that comes twice the first, which is the sum."""
    found: dict[str, int] = {}
    for name, kibibytes in _LINE.findall(text):
        found.setdefault(name, int(kibibytes) * 1024)
    return found
