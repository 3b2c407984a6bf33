"""How much something is as people say it: files in powers of ten, memory in powers of two.

Nothing that is there is told as `0.0 GB`; where sums are shown (`planning/explain.py`) or a column
shares one unit, that place has a form of its own.
"""

from __future__ import annotations

from typing import Final

_ON_DISK: Final = ("B", "kB", "MB", "GB", "TB")
_IN_MEMORY: Final = ("B", "KiB", "MiB", "GiB", "TiB")
_LEAST_SHOWN: Final = 0.05
"""What one digit after the point still shows: the limit is that much below the next unit."""


def on_disk(count_bytes: float) -> str:
    """A file, a download, room on a disk: `58 B`, `48.9 MB`, `1.1 GB`, as shops and hubs count."""
    return _told(count_bytes, 1000, _ON_DISK)


def in_memory(count_bytes: float) -> str:
    """Of the machine or of a GPU: `512.0 MiB`, `23.5 GiB`, as drivers count."""
    return _told(count_bytes, 1024, _IN_MEMORY)


def _told(count: float, step: int, units: tuple[str, ...]) -> str:
    if abs(count) < step:
        return f"{count:.0f} {units[0]}"
    for unit in units[1:-1]:
        count /= step
        if abs(count) < step - _LEAST_SHOWN:
            return f"{count:,.1f} {unit}"
    return f"{count / step:,.1f} {units[-1]}"
