"""Spans of days that people choose from, in UTC as the ledger counts them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final

from byoi_console.errors import InputInvalid

if TYPE_CHECKING:
    from collections.abc import Mapping

RANGES: Final = {
    "today": ("Today", 1),
    "7d": ("7 days", 7),
    "30d": ("30 days", 30),
    "90d": ("90 days", 90),
}
_USUAL: Final = "7d"
_LONGEST_DAYS: Final = 366


@dataclass(frozen=True)
class Span:
    """Whole days, both ends included; `name` is the choice that it came from, else empty."""

    first: date
    last: date
    name: str

    @property
    def from_ms(self) -> int:
        """Its begin as Unix milliseconds."""
        return _ms(self.first)

    @property
    def to_ms(self) -> int:
        """Its end, excluded."""
        return _ms(self.last + timedelta(days=1))

    @property
    def days(self) -> tuple[str, ...]:
        """Every day of it, as the ledger writes them."""
        count = (self.last - self.first).days + 1
        return tuple((self.first + timedelta(days=n)).isoformat() for n in range(count))

    @property
    def query(self) -> Mapping[str, str]:
        """What asks for it again."""
        if self.name:
            return {"range": self.name}
        return {"from": self.first.isoformat(), "to": self.last.isoformat()}


def today(now_ms: int) -> Span:
    """The day that it is."""
    day = _day(now_ms)
    return Span(day, day, "today")


def span_of(query: Mapping[str, str], now_ms: int) -> Span:
    """The span that an address asks for; a week where it asks for none.

    Raises:
        InputInvalid: it is no span, or longer than a year.
    """
    now = _day(now_ms)
    if query.get("from") or query.get("to"):
        first = _read(query.get("from") or query.get("to") or "", "from")
        last = _read(query.get("to") or now.isoformat(), "to")
        if not first <= last:
            raise InputInvalid("The first day must not be after the last.", "from")
        if (last - first).days >= _LONGEST_DAYS:
            raise InputInvalid("Choose at most a year.", "from")
        return Span(first, last, "")
    name = query.get("range", _USUAL)
    _, count = RANGES.get(name) or RANGES[_USUAL]
    return Span(now - timedelta(days=count - 1), now, name if name in RANGES else _USUAL)


def _read(text: str, param: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise InputInvalid("Write a day as 2026-01-31.", param) from error
    if not 1971 <= day.year <= 9000:  # noqa: PLR2004 - what arithmetic with days can bear
        raise InputInvalid("Write a day as 2026-01-31.", param)
    return day


def _day(now_ms: int) -> date:
    return datetime.fromtimestamp(now_ms / 1000, UTC).date()


def _ms(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)
