"""The last lines of the log, kept in memory for whoever looks on: as they are written elsewhere."""

from __future__ import annotations

import json
import logging
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from byoi_agent.telemetry.logs import JsonFormatter

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_LINES: Final = 2000
_LONGEST: Final = 8192
_LEVELS: Final = logging.getLevelNamesMapping()


@dataclass(frozen=True)
class Line:
    """One line: its level as a number, and the fields that `JsonFormatter` writes."""

    level: int
    fields: dict[str, Any]


class RecentLines(logging.Handler):
    """Sole owner of the last lines. Hears of them from any thread; `listen` is told in that one."""

    stays = True
    """Also when the owner has the log go elsewhere."""

    def __init__(self, most: int = MOST_LINES) -> None:
        super().__init__()
        self.setFormatter(JsonFormatter())
        self.most = most
        self._lines: deque[Line] = deque(maxlen=most)
        self._listener: Callable[[Line], None] | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        try:
            text = self.format(record)
            fields = json.loads(text)
            if len(text) > _LONGEST:  # a traceback of a thousand frames
                fields = {name: _cut(value) for name, value in fields.items()}
        except Exception:  # noqa: BLE001 a line must never end what it tells of
            self.handleError(record)
            return
        line = Line(record.levelno, fields)
        self._lines.append(line)
        if self._listener is not None:
            self._listener(line)

    def last(self, count: int, level: str = "debug") -> list[Line]:
        """The last so many lines that matter as much or more, oldest first."""
        least = _LEVELS[level.upper()]
        found = [line for line in tuple(self._lines) if line.level >= least]
        return found[-count:] if count else []

    def listen(self, listener: Callable[[Line], None] | None) -> None:
        """Tell one listener of each line from now on, or nobody."""
        self._listener = listener


def _cut(value: Any) -> Any:  # noqa: ANN401 a field of any kind
    return f"{value[:_LONGEST]}…" if isinstance(value, str) and len(value) > _LONGEST else value
