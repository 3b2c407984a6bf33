"""Keeps the node's memory, where its key lies, from other processes and from the disk."""

from __future__ import annotations

import ctypes
import sys
from typing import Final

_PR_SET_DUMPABLE: Final = 4


def keep_memory_private() -> None:
    """No core dumps, and no reading of our memory by other processes of the same user."""
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415 there is none on Windows

    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
