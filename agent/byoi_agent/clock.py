"""The time, as something that can be handed in: shells take a `Clock`, cores take `now`."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Where a shell gets the time and how it waits."""

    def monotonic(self) -> float:
        """Seconds that only ever grow; for durations and deadlines."""
        ...

    def wall(self) -> float:
        """Unix seconds; for what people and other machines read, never for decisions."""
        ...

    async def sleep_until(self, at: float) -> None:
        """Wait until `monotonic()` has reached `at`; returns at once if it has."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def monotonic(self) -> float:
        """Seconds that only ever grow; for durations and deadlines."""
        return time.monotonic()

    def wall(self) -> float:
        """Unix seconds; for what people and other machines read, never for decisions."""
        return time.time()

    async def sleep_until(self, at: float) -> None:
        """Wait until `monotonic()` has reached `at`; returns at once if it has."""
        # A timer may fire a clock tick early; whoever waits compares with `at` and would miss it.
        while (left := at - time.monotonic()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(left)


def owners_clock(unix_seconds: float) -> datetime:
    """What the clock on the owner's wall shows then: this machine's zone, with its switches."""
    return datetime.fromtimestamp(unix_seconds, UTC).astimezone()
