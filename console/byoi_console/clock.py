"""The console's wall clock; monotonic time is the event loop's own."""

from __future__ import annotations

import time


def wall_ms() -> int:
    """Milliseconds of Unix time: for what is stored and shown, never for measuring a wait."""
    return time.time_ns() // 1_000_000
