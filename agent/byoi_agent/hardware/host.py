"""The machine around the accelerators; the only importer of psutil here."""

from __future__ import annotations

import functools
import os
import platform
from pathlib import Path

import psutil

from byoi_wire.offers import Host


def read_host(storage: Path) -> Host:
    """What the machine is and has left; `storage` is a folder on the disk that models go to.

    No user names, host names, paths or serial numbers: this is sent to the console as it is.
    """
    memory = psutil.virtual_memory()
    return Host(
        os=_system(),
        architecture=platform.machine(),
        cpu_name=_cpu_name(),
        cpu_cores=_usable_cores(),
        memory_total_bytes=memory.total,
        memory_available_bytes=memory.available,
        disk_free_bytes=_disk_free(storage),
        in_container=_in_container(),
    )


def _disk_free(storage: Path) -> int | None:
    for folder in (storage, *storage.parents):
        try:
            return psutil.disk_usage(str(folder)).free
        except OSError:
            continue  # not made yet: its parent lies on the same disk
    return None


def _usable_cores() -> int | None:
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
def _cpu_name() -> str | None:
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
def _in_container() -> bool | None:
    if platform.system() != "Linux":
        return None
    if Path("/.dockerenv").exists() or Path("/run/.containerenv").exists():
        return True
    return "container" in os.environ
