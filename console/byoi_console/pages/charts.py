"""Bars as SVG: where each one stands, worked out here, since no style may be written inline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDE: Final = 960
NARROW: Final = 460
HEIGHT: Final = 190
_TOP: Final = 22
_BOTTOM: Final = 22
_LEFT: Final = 4
_FLOOR: Final = HEIGHT - _BOTTOM
_WIDEST_BAR: Final = 64.0
_LABELS: Final = 8
_LEAST: Final = 1.5
"""A bar that stands for little can still be seen."""


@dataclass(frozen=True)
class Bar:
    """One value: its rectangle, its whole description, and its label where there is room."""

    x: float
    y: float
    width: float
    height: float
    middle: float
    title: str
    label: str


@dataclass(frozen=True)
class Chart:
    """What a template draws; `highest` is the value of the topmost line."""

    bars: tuple[Bar, ...]
    highest: int
    width: int
    height: int = HEIGHT
    top: int = _TOP
    floor: int = _FLOOR


def chart(values: Sequence[tuple[str, int, str]], width: int = WIDE) -> Chart:
    """Bars side by side.

    Args:
        values: a label, a value that is not negative, and what is told of it, for each bar.
        width: of the whole picture, in units of its text's size.
    """
    highest = max((value for _, value, _ in values), default=0)
    step = (width - 2 * _LEFT) / max(1, len(values))
    bar_width = min(_WIDEST_BAR, step * 0.72)
    each = max(1, -(-len(values) // _LABELS))
    bars = []
    for number, (label, value, title) in enumerate(values):
        height = 0.0 if not value else max(_LEAST, (_FLOOR - _TOP) * value / highest)
        middle = _LEFT + step * (number + 0.5)
        bars.append(
            Bar(
                x=round(middle - bar_width / 2, 1),
                y=round(_FLOOR - height, 1),
                width=round(bar_width, 1),
                height=round(height, 1),
                middle=round(middle, 1),
                title=title,
                label=label if number % each == 0 else "",
            )
        )
    return Chart(tuple(bars), highest, width)
