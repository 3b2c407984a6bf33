"""The owner's figures: what this node served, per day, model and outcome."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

from byoi_agent.errors import AgentError
from byoi_agent.usage import energy_lines, schema
from byoi_agent.usage.money import Money, moneys, summed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from byoi_agent.usage.energy_lines import EnergyLine

_MEND: Final = (
    "see that this account may read it; a damaged file is set aside at the node's next start: "
    "byoi run"
)

_QUERY: Final = """
    SELECT day, model, outcome, count(*), sum(prompt_tokens), sum(completion_tokens),
           sum(cached_tokens), {energy}
    FROM records
    WHERE day >= :since AND day <= :until AND (:model IS NULL OR model = :model)
    GROUP BY day, model, outcome {currencies}
    ORDER BY day, model, outcome
"""
_ENERGY: Final = _QUERY.format(
    energy="count(microjoules), sum(microjoules), count(earned_nano), earned_currency, "
    "sum(earned_nano), energy_currency, sum(energy_nano)",
    currencies=", earned_currency, energy_currency",
)
_OLDER: Final = _QUERY.format(energy="0, NULL, 0, NULL, NULL, NULL, NULL", currencies="")
"""Of a file that no agent of this version has opened yet."""


class UsageUnreadable(AgentError):
    """The file of usage records is missing or cannot be read; the message says which."""


class UsageFilter(NamedTuple):
    """Which records count: days are `YYYY-MM-DD` in UTC, both ends included."""

    since: str = "0000-00-00"
    until: str = "9999-99-99"
    model: str | None = None


EVERYTHING: Final = UsageFilter()


class Worth(NamedTuple):
    """Energy and money of some requests, of which so many were measured, and so many had prices.

    `microjoules` is None where none was measured. Money is in billionths, in any number of
    currencies: an owner may have changed them.
    """

    measured_requests: int = 0
    priced_requests: int = 0
    microjoules: int | None = None
    earned: tuple[Money, ...] = ()
    energy_cost: tuple[Money, ...] = ()

    def plus(self, other: Worth) -> Worth:
        """Both together."""
        joules = [part for part in (self.microjoules, other.microjoules) if part is not None]
        return Worth(
            self.measured_requests + other.measured_requests,
            self.priced_requests + other.priced_requests,
            sum(joules) if joules else None,
            moneys(summed([*self.earned, *other.earned])),
            moneys(summed([*self.energy_cost, *other.energy_cost])),
        )


class UsageRow(NamedTuple):
    """All records of one day, model and outcome."""

    day: str
    model: str
    outcome: str
    requests: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    worth: Worth = Worth()

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
    energy: tuple[EnergyLine, ...] = ()


def query(connection: sqlite3.Connection, chosen: UsageFilter) -> UsageReport:
    """Count the records that the filter names."""
    has_energy = schema.version_of(connection) >= schema.ENERGY_VERSION
    found = connection.execute(_ENERGY if has_energy else _OLDER, chosen._asdict())
    rows = _merged(_row(*row) for row in found)
    totals = UsageTotals(
        requests=sum(row.requests for row in rows),
        prompt_tokens=sum(row.prompt_tokens for row in rows),
        completion_tokens=sum(row.completion_tokens for row in rows),
        cached_tokens=sum(row.cached_tokens for row in rows),
        total_tokens=sum(row.total_tokens for row in rows),
    )
    lines = energy_lines.read(connection, chosen) if has_energy else ()
    return UsageReport(rows, totals, lines)


def read_report(path: Path, chosen: UsageFilter = EVERYTHING) -> UsageReport:
    """The report straight from the file, changing nothing: also while no agent runs.

    Raises:
        UsageUnreadable: there is no such file, or it holds no usage records.
    """
    if not path.is_file():
        raise UsageUnreadable(f"no usage has been recorded yet: {path} does not exist")
    with reading(path) as database:
        return query(database, chosen)


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """The file, changing nothing: also while a node writes it.

    Raises:
        UsageUnreadable: it cannot be read, or holds no usage records.
    """
    # A reader of a write-ahead log makes a file beside it. Where nothing can be made and no log is
    # there, nobody writes either.
    has_log = path.with_name(f"{path.name}-wal").exists()
    is_still = not has_log and not os.access(path.parent, os.W_OK)
    uri = f"{path.absolute().as_uri()}?mode=ro{'&immutable=1' if is_still else ''}"
    try:
        with closing(sqlite3.connect(uri, uri=True)) as database:
            yield database
    except sqlite3.Error as error:
        raise UsageUnreadable(f"{path} cannot be read: {error}; {_MEND}") from error


def _row(  # noqa: PLR0917 the query's columns, in its order
    day: str,
    model: str,
    outcome: str,
    requests: int,
    prompt_tokens: int,
    completion_tokens: int,
    cached_tokens: int,
    measured: int,
    microjoules: int | None,
    priced: int,
    earned_currency: str | None,
    earned_nano: int,
    energy_currency: str | None,
    energy_nano: int,
) -> UsageRow:
    earned = () if earned_currency is None else (Money(earned_currency, earned_nano),)
    energy = () if energy_currency is None else (Money(energy_currency, energy_nano),)
    worth = Worth(measured, priced, microjoules, earned, energy)
    counts = (requests, prompt_tokens, completion_tokens, cached_tokens)
    return UsageRow(day, model, outcome, *counts, worth)


def _merged(rows: Iterable[UsageRow]) -> tuple[UsageRow, ...]:
    """The database has a row for each pair of currencies; the report has one for all."""
    merged: list[UsageRow] = []
    for row in rows:
        if merged and merged[-1][:3] == row[:3]:
            merged.append(_added(merged.pop(), row))
        else:
            merged.append(row)
    return tuple(merged)


def _added(one: UsageRow, other: UsageRow) -> UsageRow:
    return one._replace(
        requests=one.requests + other.requests,
        prompt_tokens=one.prompt_tokens + other.prompt_tokens,
        completion_tokens=one.completion_tokens + other.completion_tokens,
        cached_tokens=one.cached_tokens + other.cached_tokens,
        worth=one.worth.plus(other.worth),
    )
