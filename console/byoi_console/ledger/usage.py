"""What was used: the report by day, model, node, key and outcome, and single rows."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from sqlalchemy import ColumnElement, case, func, literal, select, tuple_

from byoi_console.errors import InputInvalid
from byoi_console.store.tables import api_keys, ledger_rows, nodes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import RowMapping

    from byoi_console.store.database import Database
    from byoi_wire.ids import OrgId

_GROUP = ("day", "model", "node_id", "api_key_id", "outcome")
_TOKENS = ("prompt_tokens", "completion_tokens", "cached_tokens")
_COUNTED = ("requests", *_TOKENS, "total_tokens", "joules_requests")

_DIGITS = 18
"""What fits into 64 bits whatever the digits are."""


@dataclass(frozen=True)
class UsageFilter:
    """Which rows count; None leaves a thing open. Times are Unix milliseconds, `to` excluded."""

    org_id: OrgId
    from_ms: int | None = None
    to_ms: int | None = None
    node_id: str | None = None
    api_key_id: str | None = None
    model: str | None = None


Dimension = Literal["day", "model", "node_id", "api_key_id"]

_NAMED: Final = {"node_id": nodes, "api_key_id": api_keys}
"""Where the name lies of what a column refers to; a node or key that is gone keeps its name."""


class UsageSum(NamedTuple):
    """What was used under one value of a dimension; `name` is None where it has none but itself.

    `joules` are those of the requests whose node measured them; None: of none of them.
    """

    value: str
    name: str | None
    requests: int
    failed: int
    prompt_tokens: int
    completion_tokens: int
    joules: float | None = None

    @property
    def total_tokens(self) -> int:
        """Both ways together."""
        return self.prompt_tokens + self.completion_tokens


class UsageReport(NamedTuple):
    """Rows and their sum, ready to be JSON.

    `joules` are those of as many of the requests as `joules_requests` says, null where of none.
    """

    rows: list[dict[str, Any]]
    totals: dict[str, Any]


class UsageQueries:
    """Reads the ledger; writes nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def report(self, wanted: UsageFilter) -> UsageReport:
        """Requests and tokens per day, model, node, key and outcome, with their totals."""
        group = [ledger_rows.c[name] for name in _GROUP]
        sums = [func.sum(ledger_rows.c[name]).label(name) for name in _TOKENS]
        query = (
            select(
                *group,
                func.count().label("requests"),
                *sums,
                func.sum(ledger_rows.c.joules).label("joules"),
                func.count(ledger_rows.c.joules).label("joules_requests"),
            )
            .where(*_conditions(wanted))
            .group_by(*group)
            .order_by(*group)
        )
        async with self._database.read() as connection:
            found = (await connection.execute(query)).mappings()
            rows = [_with_total(row) for row in found]
        totals = {name: sum(row[name] for row in rows) for name in _COUNTED}
        return UsageReport(rows, {**totals, "joules": sum_of(row["joules"] for row in rows)})

    async def sums(self, wanted: UsageFilter, by: Dimension) -> Sequence[UsageSum]:
        """Requests and tokens by one dimension: days in their order, all else the largest first."""
        rows, table = ledger_rows.c, _NAMED.get(by)
        name = literal(None) if table is None else table.c.name
        failed = func.sum(case((rows.outcome == "failed", 1), else_=0))
        tokens = [func.sum(rows.prompt_tokens), func.sum(rows.completion_tokens)]
        value = rows[by]
        joules = func.sum(rows.joules)
        numbers = (joules, func.count(), failed, *tokens)
        query = select(value, name, *numbers).where(*_conditions(wanted))
        if table is not None:
            query = query.outerjoin(table, table.c.id == value)
        query = query.group_by(value) if table is None else query.group_by(value, name)
        order = (value,) if by == "day" else ((tokens[0] + tokens[1]).desc(), value)
        async with self._database.read() as connection:
            found = await connection.execute(query.order_by(*order))
            return [
                UsageSum(of, name, *(int(n) for n in counts))._replace(joules=energy)
                for of, name, energy, *counts in found
            ]

    async def requests(
        self, wanted: UsageFilter, limit: int, after: str | None
    ) -> tuple[list[dict[str, Any]], str | None]:
        """Single rows, newest first, and the cursor of the next page (None: this is the last)."""
        order = (ledger_rows.c.started_at_ms, ledger_rows.c.request_id, ledger_rows.c.attempt)
        query = select(ledger_rows).where(*_conditions(wanted))
        if after is not None:
            query = query.where(tuple_(*order) < tuple_(*_read_cursor(after)))
        query = query.order_by(*(column.desc() for column in order)).limit(limit + 1)
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).mappings().all()
        following = _cursor(rows[limit - 1]) if len(rows) > limit else None
        return [_row(row) for row in rows[:limit]], following


def sum_of(values: Iterable[float | None]) -> float | None:
    """Of those that are known; None where none is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def instant_ms(text: str, param: str, *, is_end: bool = False) -> int:
    """A day (`2026-01-31`) or an ISO 8601 time as Unix milliseconds; UTC where it names no zone.

    A day as the end of a span takes that whole day in.

    Raises:
        InputInvalid: it is neither.
    """
    try:
        if len(text) == len("2026-01-31"):
            day = date.fromisoformat(text) + timedelta(days=int(is_end))
            moment = datetime(day.year, day.month, day.day, tzinfo=UTC)
        else:
            moment = datetime.fromisoformat(text)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return round(moment.timestamp() * 1000)
    except (ValueError, OverflowError) as error:
        raise InputInvalid(f"{param} is not a date or an ISO 8601 time.", param) from error


def _conditions(wanted: UsageFilter) -> Sequence[ColumnElement[bool]]:
    rows = ledger_rows.c
    conditions = [rows.org_id == wanted.org_id]
    if wanted.from_ms is not None:
        conditions.append(rows.started_at_ms >= wanted.from_ms)
    if wanted.to_ms is not None:
        conditions.append(rows.started_at_ms < wanted.to_ms)
    for column, value in (
        (rows.node_id, wanted.node_id),
        (rows.api_key_id, wanted.api_key_id),
        (rows.model, wanted.model),
    ):
        if value is not None:
            conditions.append(column == value)
    return conditions


def _with_total(row: RowMapping) -> dict[str, Any]:
    tokens = {name: int(row[name]) for name in _TOKENS}
    total = tokens["prompt_tokens"] + tokens["completion_tokens"]
    return {**row, **tokens, "total_tokens": total}


def _row(row: RowMapping) -> dict[str, Any]:
    shown = {
        name: value
        for name, value in row.items()
        if not name.startswith("claim_") and name not in {"org_id", "day", "counted", "claimed"}
    }
    for side in ("counted", "claimed"):
        shown[side] = None if row[side] is None else json.loads(row[side])
    shown["total_tokens"] = row["prompt_tokens"] + row["completion_tokens"]
    return shown


def _cursor(row: RowMapping) -> str:
    return f"{row['started_at_ms']}:{row['attempt']}:{row['request_id']}"


def _read_cursor(text: str) -> tuple[int, str, int]:
    started, _, rest = text.partition(":")
    attempt, _, request_id = rest.partition(":")
    is_cursor = all(part.isascii() and part.isdecimal() for part in (started, attempt))
    if not is_cursor or not request_id or len(started) > _DIGITS or len(attempt) > _DIGITS:
        raise InputInvalid("after is not a cursor of this list.", "after")
    return int(started), request_id, int(attempt)
