"""The owner's figures: what this node served, per day, model and outcome."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Final, NamedTuple

from byoi_agent.errors import AgentError

if TYPE_CHECKING:
    from pathlib import Path

_QUERY: Final = """
    SELECT day, model, outcome, count(*), sum(prompt_tokens), sum(completion_tokens),
           sum(cached_tokens)
    FROM records
    WHERE day >= :since AND day <= :until AND (:model IS NULL OR model = :model)
    GROUP BY day, model, outcome
    ORDER BY day, model, outcome
"""


class UsageUnreadable(AgentError):
    """The file of usage records is missing or cannot be read; the message says which."""


class UsageFilter(NamedTuple):
    """Which records count: days are `YYYY-MM-DD` in UTC, both ends included."""

    since: str = "0000-00-00"
    until: str = "9999-99-99"
    model: str | None = None


EVERYTHING: Final = UsageFilter()


class UsageRow(NamedTuple):
    """All records of one day, model and outcome."""

    day: str
    model: str
    outcome: str
    requests: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int

    @property
    def total_tokens(self) -> int:
        """Prompt and completion together; cached ones are part of the prompt."""
        return self.prompt_tokens + self.completion_tokens


class UsageTotals(NamedTuple):
    """Sums over all rows of a report."""

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    total_tokens: int = 0


class UsageReport(NamedTuple):
    """What `byoi usage` shows."""

    rows: tuple[UsageRow, ...]
    totals: UsageTotals


def query(connection: sqlite3.Connection, chosen: UsageFilter) -> UsageReport:
    """Count the records that the filter names."""
    rows = tuple(UsageRow(*row) for row in connection.execute(_QUERY, chosen._asdict()))
    totals = UsageTotals(
        requests=sum(row.requests for row in rows),
        prompt_tokens=sum(row.prompt_tokens for row in rows),
        completion_tokens=sum(row.completion_tokens for row in rows),
        cached_tokens=sum(row.cached_tokens for row in rows),
        total_tokens=sum(row.total_tokens for row in rows),
    )
    return UsageReport(rows, totals)


def read_report(path: Path, chosen: UsageFilter = EVERYTHING) -> UsageReport:
    """The report straight from the file, changing nothing: also while no agent runs.

    Raises:
        UsageUnreadable: there is no such file, or it holds no usage records.
    """
    if not path.is_file():
        raise UsageUnreadable(f"no usage has been recorded yet: {path} does not exist")
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            return query(database, chosen)
    except sqlite3.Error as error:
        raise UsageUnreadable(f"{path} cannot be read: {error}") from error
