"""What a record is worth to the owner: kept beside it, never part of what is signed and sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from byoi_agent.usage import tariff as tariffs
from byoi_agent.usage.earnings import earned
from byoi_agent.usage.units import MICRO

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from byoi_agent.config.tables import Tariff
    from byoi_agent.usage.money import Money
    from byoi_wire.offers import Prices
    from byoi_wire.usage import UsageRecord

_MILLISECONDS: Final = 1000


class Value(NamedTuple):
    """None where it was not measured, or where the owner has set no prices or no tariff."""

    microjoules: int | None = None
    earned: Money | None = None
    energy: Money | None = None


NOTHING: Final = Value()


def value_of(
    record: UsageRecord,
    prices: Prices | None,
    tariff: Tariff | None,
    local: Callable[[float], datetime],
) -> Value:
    """At the prices and the tariff that hold now; the energy counts as spent evenly in its time."""
    since = record.started_at_ms / _MILLISECONDS
    until = since + record.duration_ms / _MILLISECONDS
    joules = record.joules
    return Value(
        microjoules=None if joules is None else round(joules * MICRO),
        earned=None if prices is None else earned(record, prices),
        energy=None
        if joules is None or tariff is None
        else tariffs.cost(tariff, joules, since, until, local),
    )
