"""What measured requests of each model took: kept over a restart, and as new as possible."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from byoi_agent.usage.policy import Experience
from byoi_agent.usage.units import MICRO
from byoi_wire.usage import Usage

if TYPE_CHECKING:
    import sqlite3

REQUESTS: Final = 200
"""So many of a model count; older ones ran under other settings."""

AT_START: Final = 2000
"""So many of all models are read at a start."""

_QUERY: Final = """
    SELECT model, microjoules, prompt_tokens, completion_tokens, cached_tokens FROM records
    WHERE microjoules IS NOT NULL ORDER BY sequence DESC LIMIT ?
"""


class Measurement(NamedTuple):
    """One request whose energy was measured."""

    model: str
    joules: float
    usage: Usage


class Evidence:
    """Sole owner of the newest measurements of each model."""

    def __init__(self) -> None:
        self._newest: dict[str, deque[Measurement]] = {}
        self._sums: dict[str, Experience] = {}

    def add(self, measurement: Measurement) -> None:
        """One more; the oldest of this model goes when there are too many."""
        model = measurement.model
        newest = self._newest.setdefault(model, deque())
        newest.append(measurement)
        sums = self.of(model).plus(measurement.joules, measurement.usage)
        if len(newest) > REQUESTS:
            old = newest.popleft()
            sums = sums.plus(old.joules, old.usage, sign=-1)
        self._sums[model] = sums

    def of(self, model: str) -> Experience:
        """What is known of a model."""
        return self._sums.get(model, Experience())


def read(database: sqlite3.Connection, limit: int) -> list[Measurement]:
    """The newest ones in the file, oldest of them first."""
    rows = database.execute(_QUERY, (limit,)).fetchall()
    return [
        Measurement(
            model,
            microjoules / MICRO,
            Usage(prompt_tokens=prompt, completion_tokens=completion, cached_tokens=cached),
        )
        for model, microjoules, prompt, completion, cached in reversed(rows)
    ]
