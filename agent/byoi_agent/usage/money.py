"""Amounts of money that are added up exactly: whole billionths, each currency for itself."""

from __future__ import annotations

from collections import Counter
from decimal import ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

NANO: Final = 1_000_000_000
"""Billionths in one unit of a currency: a token at 0.15 for a million is 150 of them."""


class Money(NamedTuple):
    """An amount in one currency, as in ISO 4217."""

    currency: str
    nano: int


def whole_nano(amount: Decimal) -> int:
    """An amount in units of its currency, rounded once; from here on sums are exact."""
    return int((amount * NANO).to_integral_value(ROUND_HALF_EVEN))


def exact(number: float) -> Decimal:
    """The number as its owner wrote it: 0.1 is a tenth."""
    return Decimal(str(number))


def summed(amounts: Iterable[Money | None]) -> dict[str, int]:
    """Billionths by currency; what is None is left out."""
    sums: Counter[str] = Counter()
    for amount in amounts:
        if amount is not None:
            sums[amount.currency] += amount.nano
    return dict(sorted(sums.items()))


def moneys(sums: Mapping[str, int]) -> tuple[Money, ...]:
    """The same as amounts."""
    return tuple(Money(currency, nano) for currency, nano in sums.items())


def in_units(sums: Mapping[str, int]) -> dict[str, float]:
    """The same as numbers that programs read, in units of each currency."""
    return {currency: nano / NANO for currency, nano in sorted(sums.items())}
