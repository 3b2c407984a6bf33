"""What electricity costs at a moment, and energy over a stretch of time: pure.

A price belongs to the owner's wall clock, a moment to everybody's. So a stretch is walked in whole
minutes of universal time, each looked up on the owner's clock: when that clock is set forward, an
hour of its windows does not come; set back, an hour comes twice and is paid twice.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from byoi_agent.config.windows import holds
from byoi_agent.usage.money import Money, exact, whole_nano
from byoi_agent.usage.units import JOULES_PER_KWH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from byoi_agent.config.tables import Tariff

_MINUTE: Final = 60


def price_at(tariff: Tariff, local: datetime) -> float:
    """For a kWh at a moment of the owner's clock: the first window that holds it, or the rest."""
    return next(
        (window.price_per_kwh for window in tariff.windows if holds(window, local)),
        tariff.price_per_kwh,
    )


def cost(
    tariff: Tariff,
    joules: float,
    since: float,
    until: float,
    local: Callable[[float], datetime],
) -> Money:
    """What energy costs that was spent evenly between two moments, in Unix seconds.

    `local` tells what the owner's clock shows then. Each piece is paid at its own price.
    """
    seconds = until - since
    if seconds <= 0:
        return _money(tariff, exact(joules) * exact(price_at(tariff, local(since))))
    weighed = Decimal(0)
    for begin, end in _minutes(since, until):
        share = exact(end - begin) / exact(seconds)
        weighed += share * exact(price_at(tariff, local(begin)))
    return _money(tariff, exact(joules) * weighed)


def _money(tariff: Tariff, joules_times_price: Decimal) -> Money:
    return Money(tariff.currency, whole_nano(joules_times_price / JOULES_PER_KWH))


def _minutes(since: float, until: float) -> Iterator[tuple[float, float]]:
    """The stretch cut at each full minute: every zone's clock is whole minutes off."""
    begin = since
    while begin < until:
        end = min(until, (begin // _MINUTE + 1) * _MINUTE)
        yield begin, end
        begin = end
