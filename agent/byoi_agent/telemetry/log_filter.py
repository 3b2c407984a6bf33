"""Which lines of a log are wanted; pure."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from byoi_agent.telemetry.log_file import level_of

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class LogFilter:
    """A line must pass all of these; what is no line of ours passes where only words are asked for.

    `least` is a level as logging numbers it, `since` a Unix time, `room` the beginning of a
    logger's name without the package's, `words` a text anywhere in the line, in whatever case.
    """

    least: int = logging.DEBUG
    since: float | None = None
    room: str | None = None
    words: str | None = None

    def passes(self, line: str) -> bool:
        """Whether this line is wanted."""
        if self.words is not None and self.words.lower() not in line.lower():
            return False
        if level_of(line) < self.least:
            return False
        if self.since is None and self.room is None:
            return True
        fields = _fields_of(line)
        return fields is not None and self._is_of(fields) and self._is_new(fields)

    def _is_of(self, fields: Mapping[str, object]) -> bool:
        if self.room is None:
            return True
        name = str(fields.get("logger", "")).removeprefix("byoi_agent.")
        return name == self.room or name.startswith(f"{self.room}.")

    def _is_new(self, fields: Mapping[str, object]) -> bool:
        if self.since is None:
            return True
        try:
            return datetime.fromisoformat(str(fields.get("time"))).timestamp() >= self.since
        except ValueError:
            return False


def _fields_of(line: str) -> Mapping[str, object] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
