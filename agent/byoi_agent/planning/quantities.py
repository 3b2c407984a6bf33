"""Large numbers as people write them: `405B` and `7.5e9` in, `2.31e24` and `3.1 years` out."""

from __future__ import annotations

import math
import re
from typing import Final

LARGEST: Final = 1e24
"""Beyond it a typing error is likelier than a model."""

_TIMES: Final = {"": 1.0, "k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12}
_WRITTEN: Final = re.compile(
    r"([+-]?(?:(?:[1-9]\d{0,2}(?:,\d{3})+|\d+(?:[\d_]*\d)?)(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?)\s*([kmbt]?)",
    re.IGNORECASE | re.ASCII,
)
_DECIMAL_COMMA: Final = re.compile(
    r"[+-]?\d*,\d+(?:e[+-]?\d+)?\s*[kmbt]?", re.IGNORECASE | re.ASCII
)
"""`1,5T`, which is 1.5 to most of Europe."""
_EITHER: Final = re.compile(
    r"[+-]?[1-9]\d{0,2},\d{3}(?:e[+-]?\d+\s*[kmbt]?|\s*[kmbt])", re.IGNORECASE | re.ASCII
)
"""`1,500T`: 1.5 T to some, 1500 T to others. `1,500` alone is read as thousands."""
_SPOKEN: Final = ((1e12, "T"), (1e9, "B"), (1e6, "M"))
_HOUR: Final = 3600.0
_DAY: Final = 86_400.0
_YEAR: Final = 365.25 * _DAY


def parse(text: str, *, may_be_zero: bool = False) -> float:
    """A positive number, with or without K, M, B (10⁹) or T (10¹²) behind it.

    Raises:
        ValueError: it is none, not above zero, or too large to be meant; says how to write one.
    """
    found = _WRITTEN.fullmatch(text.strip())
    is_either = _EITHER.fullmatch(text.strip()) is not None
    if is_either or (found is None and _DECIMAL_COMMA.fullmatch(text.strip())):
        other = f", or without the comma: {text.replace(',', '')}" if is_either else ""
        raise ValueError(
            f"{text!r}: a point divides ones from tenths here: {text.replace(',', '.')}{other}"
        )
    if found is None:
        raise ValueError(f"{text!r} is no number; write it as 405B, 1.5T or 7.5e9")
    number = float(re.sub(r"[_,]", "", found[1])) * _TIMES[found[2].lower()]
    if number < 0 or (number == 0 and not may_be_zero):
        raise ValueError(f"{text} is {'below' if may_be_zero else 'not above'} zero")
    if number > LARGEST:
        raise ValueError(f"{text} is more than can be meant; B is 10⁹ and T is 10¹²")
    return number


def spoken(number: float) -> str:
    """`1 T`, `405 B`, `12,000`; three digits that count."""
    for size, letter in _SPOKEN:
        if number >= size:
            return f"{_rounded(number / size)} {letter}".replace(",", "")  # as `parse` takes it
    return _rounded(number)


def counted(number: float) -> str:
    """A number of things: whole from a hundred on."""
    return f"{number:,.0f}" if number >= 100 else _rounded(number)  # noqa: PLR2004


def duration(seconds: float) -> str:
    """In the unit that suits it."""
    if seconds >= 2 * _YEAR:
        return f"{counted(seconds / _YEAR)} years"
    if seconds >= 2 * _DAY:
        return f"{counted(seconds / _DAY)} days"
    if seconds >= _HOUR:
        return f"{_rounded(seconds / _HOUR)} hours"
    return f"{_rounded(seconds)} seconds"


def _rounded(number: float) -> str:
    digits = 2 - math.floor(math.log10(number)) if number else 0
    text = f"{round(number, digits):,.{max(digits, 0)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
