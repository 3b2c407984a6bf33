"""The log's last lines by the control API, and those that follow."""

from __future__ import annotations

import asyncio
import logging
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from byoi_agent.control.feed import Event
from byoi_agent.control.log_words import LOG, LogLine, LogLines
from byoi_agent.telemetry.recent import Line, RecentLines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from byoi_agent.control.events import Events
    from byoi_agent.control.log_words import Level


class LogDesk:
    """Passes lines on to the events' readers, from whatever thread they come."""

    def __init__(self, events: Events) -> None:
        self.events = events
        self._recent = RecentLines()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """While this holds, lines are kept and told."""
        loop = asyncio.get_running_loop()

        def tell(line: Line) -> None:
            if not self.events.is_idle:
                with suppress(RuntimeError):  # the loop has ended; nobody listens
                    loop.call_soon_threadsafe(self.events.put, event_of(line))

        root = logging.getLogger()
        root.addHandler(self._recent)
        self._recent.listen(tell)
        try:
            yield
        finally:
            self._recent.listen(None)
            root.removeHandler(self._recent)

    def last(self, count: int, level: Level) -> LogLines:
        """The last so many lines of this level and above."""
        return LogLines(lines=tuple(_told(line) for line in self._recent.last(count, level)))

    def events_of(self, count: int, level: Level) -> list[Event]:
        """The same, as events."""
        return [event_of(line) for line in self._recent.last(count, level)]


def event_of(line: Line) -> Event:
    """A line as an event."""
    return Event(LOG, _told(line), level=line.level)


def _told(line: Line) -> LogLine:
    fields: dict[str, Any] = {"time": "", "level": "", "logger": "", "event": "", **line.fields}
    return LogLine.model_validate(fields)
