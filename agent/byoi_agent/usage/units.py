"""Numbers that turn one unit into another."""

from __future__ import annotations

from typing import Final

JOULES_PER_KWH: Final = 3_600_000

MICRO: Final = 1_000_000
"""Millionths of a joule in a joule: sums of whole ones are exact."""

MILLION: Final = 1_000_000
"""Tokens that a price is for."""
