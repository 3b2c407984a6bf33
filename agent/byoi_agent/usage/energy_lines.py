"""Energy that is on no request's record: by day, model and kind, added up in the outbox's file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from byoi_agent.usage.report import UsageFilter

EnergyKind = Literal["idle", "left", "assumed"]
"""`idle`: while nothing ran. `left`: measured of a model's requests, and on no record of them.
`assumed`: what the rest of the machine takes while it serves, by the tariff's `other_watts`."""


class EnergyKey(NamedTuple):
    """One line: `model` is empty for idle energy, `currency` where there was no tariff.

    `measured_by` is `counter`, `power` or, for what is assumed, `setting`.
    """

    day: str
    model: str
    kind: EnergyKind
    measured_by: str
    currency: str


class EnergyLine(NamedTuple):
    """Whole millionths of a joule and billionths of the currency, so that sums are exact."""

    key: EnergyKey
    microjoules: int
    nano: int


_ADD: Final = """
    INSERT INTO energy (day, model, kind, measured_by, currency, microjoules, nano)
    VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (day, model, kind, measured_by, currency) DO UPDATE
    SET microjoules = microjoules + excluded.microjoules, nano = nano + excluded.nano
"""
_QUERY: Final = """
    SELECT day, model, kind, measured_by, currency, microjoules, nano FROM energy
    WHERE day >= :since AND day <= :until AND (:model IS NULL OR model = :model)
    ORDER BY day, kind, model
"""


def add(database: sqlite3.Connection, lines: Iterable[EnergyLine]) -> None:
    """Add to what the file has, all in one transaction; durable on return."""
    database.execute("BEGIN IMMEDIATE")
    for line in lines:
        database.execute(_ADD, (*line.key, line.microjoules, line.nano))
    database.execute("COMMIT")


def prune(database: sqlite3.Connection, before_day: str) -> None:
    """Forget the days before this one."""
    database.execute("DELETE FROM energy WHERE day < ?", (before_day,))


def read(database: sqlite3.Connection, chosen: UsageFilter) -> tuple[EnergyLine, ...]:
    """The lines that the filter names; with a model, those of that model alone."""
    rows = database.execute(_QUERY, chosen._asdict())
    return tuple(EnergyLine(EnergyKey(*row[:5]), *row[5:]) for row in rows)
