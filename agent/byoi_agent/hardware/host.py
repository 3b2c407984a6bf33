"""The machine around the accelerators; the only importer of psutil here."""

from __future__ import annotations

import functools
import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psutil

from byoi_wire.offers import Host

if TYPE_CHECKING:
    from collections.abc import Iterable

_CPU_SENSORS: Final = ("coretemp", "k10temp", "zenpower", "cpu_thermal", "cpu-thermal")
"""What Linux' drivers for the processor's own sensors are called."""

_TRACKER: Final = "multiprocessing.resource_tracker"


def read_host(storage: Path) -> Host:
    """What the machine is and has left; `storage` is a folder on the disk that models go to.

    No user names, host names, paths or serial numbers: this is sent to the console as it is.
    """
    memory = psutil.virtual_memory()
    return Host(
        os=_system(),
        architecture=platform.machine(),
        cpu_name=cpu_name(),
        cpu_cores=usable_cores(),
        memory_total_bytes=memory.total,
        memory_available_bytes=memory.available,
        disk_free_bytes=_disk_free(storage),
        in_container=in_container(),
    )


@dataclass(frozen=True)
class Surroundings:
    """What else the owner may want to know of the machine; it stays on it."""

    battery_percent: float | None = None
    is_on_mains: bool | None = None
    """None where there is no battery, or nobody says."""
    network_megabits: int | None = None
    """The fastest of the network's interfaces that are up; None where none tells its speed."""


@dataclass(frozen=True)
class MemoryUse:
    """The machine's own memory."""

    total_bytes: int
    used_bytes: int
    free_bytes: int


def read_surroundings() -> Surroundings:
    """Battery and network; each None where the machine has or tells none."""
    battery = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
    speeds = [interface.speed for interface in psutil.net_if_stats().values() if interface.isup]
    return Surroundings(
        battery_percent=None if battery is None else battery.percent,
        is_on_mains=None if battery is None else battery.power_plugged,
        network_megabits=max(speeds, default=0) or None,  # 0 is psutil's word for unknown
    )


def read_memory() -> MemoryUse:
    """What a device without a memory of its own computes in."""
    memory = psutil.virtual_memory()
    return MemoryUse(memory.total, memory.total - memory.available, memory.available)


def ancestors(pid: int) -> frozenset[int]:
    """A process and all that started it, as far as they can be seen."""
    try:
        return frozenset({pid, *(parent.pid for parent in psutil.Process(pid).parents())})
    except psutil.Error:
        return frozenset({pid})


def tree(pid: int) -> frozenset[int]:
    """A process and all that it and those started, as far as they can be seen."""
    try:
        children = psutil.Process(pid).children(recursive=True)
    except (psutil.Error, OSError):
        return frozenset({pid})
    return frozenset({pid, *(child.pid for child in children)})


def memory_holders(pid: int) -> frozenset[int]:
    """Those of its tree that can hold a device's memory.

    Python's resource trackers cannot. They outlive the others by up to a second, to clear shared
    memory of the host's away.
    """
    return frozenset(each for each in tree(pid) if not _is_tracker(each))


def _is_tracker(pid: int) -> bool:
    try:
        return any(_TRACKER in part for part in psutil.Process(pid).cmdline())
    except (psutil.Error, OSError):
        return False


def listening_on(port: int) -> frozenset[int]:
    """The processes that listen on a port, as far as we may see whose sockets are whose."""
    try:
        sockets = psutil.net_connections("tcp")
    except (psutil.Error, OSError):  # macOS tells it to root only
        return frozenset()
    return frozenset(
        each.pid
        for each in sockets
        if each.status == psutil.CONN_LISTEN and each.laddr[1:] == (port,) and each.pid is not None
    )


def is_there(pid: int) -> bool:
    """Whether a process has that number, whoever runs it."""
    return bool(psutil.pid_exists(pid))


def still_running(pids: Iterable[int]) -> frozenset[int]:
    """Those of them that have not ended; one that only waits to be collected has."""
    return frozenset(pid for pid in pids if _is_running(pid))


def _is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, OSError):
        return False


def process_name(pid: int) -> str | None:
    """What a process is called; None for one that has gone or is hidden from us."""
    try:
        return psutil.Process(pid).name()
    except (psutil.Error, OSError):
        return None


def running_pids() -> list[int]:
    """The numbers of all processes that can be seen."""
    return psutil.pids()


def cpu_percent() -> float:
    """Part of the time since the last call in which the cores worked; the first call means none."""
    return psutil.cpu_percent(interval=None)


def cpu_temperature_celsius() -> tuple[float | None, float | None]:
    """The processor's temperature, and the one at which it slows down."""
    if not hasattr(psutil, "sensors_temperatures"):
        return None, None
    sensors = psutil.sensors_temperatures()
    for name in _CPU_SENSORS:
        if found := sensors.get(name):
            hottest = max(found, key=lambda one: one.current or 0)
            return hottest.current or None, hottest.high or hottest.critical or None
    return None, None


def _disk_free(storage: Path) -> int | None:
    for folder in (storage, *storage.parents):
        try:
            return psutil.disk_usage(str(folder)).free
        except OSError:
            continue  # not made yet: its parent lies on the same disk
    return None


def usable_cores() -> int | None:
    """How many of the machine's cores this process may use."""
    # A container or a service may be bound to fewer cores than the machine has.
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return psutil.cpu_count()


@functools.cache
def _system() -> str:
    if platform.system() == "Linux":
        try:
            return platform.freedesktop_os_release()["PRETTY_NAME"]
        except (OSError, KeyError):
            return f"Linux {platform.release()}"
    if platform.system() == "Darwin":
        return f"macOS {platform.mac_ver()[0]}"
    return f"{platform.system()} {platform.release()}"


@functools.cache
def cpu_name() -> str | None:
    """What the processor calls itself."""
    try:
        for line in (
            Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        ):
            if line.startswith(("model name", "Model")):
                return line.partition(":")[2].strip()
    except OSError:
        pass  # not Linux
    return platform.processor() or None


@functools.cache
def in_container() -> bool | None:
    """Whether this process is in one; None where there are none."""
    if platform.system() != "Linux":
        return None
    if Path("/.dockerenv").exists() or Path("/run/.containerenv").exists():
        return True
    return "container" in os.environ
