"""Amounts of money and energy in words that a table has room for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from byoi_agent.usage.units import JOULES_PER_KWH

if TYPE_CHECKING:
    from collections.abc import Mapping

_SMALL: Final = 0.1
_TINY: Final = 0.000_000_5


def money(amounts: Mapping[str, float], nothing: str = "nothing") -> str:
    """Each currency for itself; small amounts with more places, so that they are not lost."""
    return ", ".join(f"{_amount(amount)} {name}" for name, amount in amounts.items()) or nothing


def joules_in_kwh(joules: float) -> str:
    """A number of kWh, to three places that mean something."""
    kwh = joules / JOULES_PER_KWH
    return f"{kwh:,.3f}" if kwh >= _SMALL else f"{kwh:.6f}"


def _amount(amount: float) -> str:
    if abs(amount) < _TINY:
        return "0.00"
    return f"{amount:,.2f}" if abs(amount) >= _SMALL else f"{amount:.6f}"
