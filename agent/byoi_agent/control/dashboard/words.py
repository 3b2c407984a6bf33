"""Figures as the pages show them; pure. What is not known is a dash, never zero."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from byoi_agent.sizes import in_memory
from byoi_agent.usage.units import JOULES_PER_KWH

if TYPE_CHECKING:
    from collections.abc import Mapping

UNKNOWN: Final = "\N{EN DASH}"
_KIB: Final = 1024
_SMALL_MONEY: Final = 0.1
_TINY_MONEY: Final = 0.000_000_5
_SMALL_KWH: Final = 0.1
_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 86_400
_MORNING_HOUR: Final = 6


def size(count_bytes: float | None) -> str:
    """Bytes in the unit that people say."""
    return UNKNOWN if count_bytes is None else in_memory(count_bytes)


def number(value: float | None) -> str:
    """A whole number with its thousands apart."""
    return UNKNOWN if value is None else f"{value:,.0f}"


def seconds(length: float | None) -> str:
    """How long something took, to what can be told apart."""
    if length is None:
        return UNKNOWN
    if length < 1:
        return f"{length * 1000:.0f} ms"
    return f"{length:.1f} s" if length < _MINUTE else span(length)


def span(length: float) -> str:
    """A length of time in its two largest units."""
    whole = max(0, int(length))
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


def iso(at: float) -> str:
    """A moment, in Unix seconds, for machines: ISO 8601, UTC."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def clock_time(at: float) -> str:
    """A moment on this machine's own clock, to the minute."""
    return f"{datetime.fromtimestamp(at).astimezone():%Y-%m-%d %H:%M}"


def until_tomorrow(now: float) -> float:
    """Seconds until tomorrow's morning on this machine's clock, over a change of the clock too."""
    today = datetime.fromtimestamp(now)  # noqa: DTZ006 the wall's hands are what is meant
    hands = today.replace(hour=_MORNING_HOUR, minute=0, second=0, microsecond=0)
    return (hands + timedelta(days=1)).timestamp() - now


def money(amounts: Mapping[str, float] | None) -> str:
    """Each currency for itself; small amounts with more places, so that they are not lost."""
    if amounts is None:
        return UNKNOWN
    return ", ".join(f"{_amount(amount)} {name}" for name, amount in amounts.items()) or "0"


def energy(joules: float | None) -> str:
    """As on a bill; less than anybody pays for in watt-hours."""
    if joules is None:
        return UNKNOWN
    kwh = joules / JOULES_PER_KWH
    return f"{kwh:,.2f} kWh" if kwh >= _SMALL_KWH else f"{kwh * 1000:,.1f} Wh"


def percent(part: float | None, whole: float | None) -> float | None:
    """How much of the whole, from 0 to 100, for a bar; None where either is not known."""
    if part is None or not whole:
        return None
    return round(min(100.0, max(0.0, 100.0 * part / whole)), 1)


def _amount(amount: float) -> str:
    if abs(amount) < _TINY_MONEY:
        return "0.00"
    return f"{amount:,.2f}" if abs(amount) >= _SMALL_MONEY else f"{amount:.4f}"
