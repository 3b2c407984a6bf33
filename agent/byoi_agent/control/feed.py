"""What waits for one reader of events: bounded, and of what replaces itself only the newest."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic import BaseModel

MOST_WAITING: Final = 512


@dataclass(frozen=True)
class Event:
    """Something that happened; with `key`, a newer one of the same key takes its place.

    `level` is that of a line of the log, as `logging` counts.
    """

    name: str
    data: BaseModel
    key: str | None = None
    level: int = 0


class Feed:
    """Sole owner of what one reader has not had yet. When full, the oldest goes and is counted."""

    def __init__(self, wants: Iterable[str], least_level: int = 0) -> None:
        self.wants = frozenset(wants)
        self._least_level = least_level
        self.missed = 0
        self._waiting: deque[Event] = deque()
        self._news = asyncio.Event()
        self._is_closed = False

    @property
    def is_closed(self) -> bool:
        """Whether nothing more will come."""
        return self._is_closed

    def put(self, event: Event) -> None:
        """For the reader, if it wants such events."""
        if event.name not in self.wants or 0 < event.level < self._least_level:
            return
        if event.key is not None:
            kept = (each for each in self._waiting if each.key != event.key)
            self._waiting = deque(kept)
        if len(self._waiting) >= MOST_WAITING:
            self._waiting.popleft()
            self.missed += 1
        self._waiting.append(event)
        self._news.set()

    def close(self) -> None:
        """The last that the reader gets is what waits now."""
        self._is_closed = True
        self._news.set()

    async def take(self, within_seconds: float) -> list[Event]:
        """What has come, or nothing after so long."""
        try:
            async with asyncio.timeout(within_seconds):
                await self._news.wait()
        except TimeoutError:
            return []
        if not self._is_closed:
            self._news.clear()
        taken, self._waiting = list(self._waiting), deque()
        return taken
