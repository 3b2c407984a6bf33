"""A benchmark as bars of text, for a terminal of any width; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from byoi_agent.bench.report import BenchReport, LevelReport

_EIGHTHS: Final = " ▏▎▍▌▋▊▉█"
_LEAST_BAR: Final = 8
_KNEE: Final = " ◂ knee"
_PLAIN_KNEE: Final = " < knee"


def chart(report: BenchReport, width: int, *, is_plain: bool = False) -> str:
    """Bars of the levels that gave figures; `is_plain` draws with ASCII alone.

    Empty where there is nothing to draw.
    """
    if not report.good:
        return ""
    lines = ["tokens a second, all requests together, by concurrency"]
    rates = [(level, level.tokens_per_second or 0.0) for level in report.good]
    lines += _bars(rates, width, report.knee_concurrency, is_plain=is_plain)
    firsts = [
        (level, level.first_token_ms_p50)
        for level in report.good
        if level.first_token_ms_p50 is not None
    ]
    if firsts:
        lines += ["", "milliseconds to the first token, of the middle request"]
        lines += _bars(firsts, width, None, is_plain=is_plain)
    return "\n".join(lines)


def _bars(
    rows: list[tuple[LevelReport, float]], width: int, knee: int | None, *, is_plain: bool
) -> list[str]:
    mark = _PLAIN_KNEE if is_plain else _KNEE
    labels = [f"{level.concurrency:>5} " for level, _ in rows]
    numbers = [number(value) for _, value in rows]
    marks = [mark if level.concurrency == knee else "" for level, _ in rows]
    tail = max(map(len, numbers)) + 2 + max(map(len, marks))
    room = max(width - max(map(len, labels)) - tail, _LEAST_BAR)
    most = max(value for _, value in rows)
    return [
        f"{label}{_bar(value / most if most else 0.0, room, is_plain=is_plain)} {shown}{told}"
        for label, (_, value), shown, told in zip(labels, rows, numbers, marks, strict=True)
    ]


def _bar(share: float, room: int, *, is_plain: bool) -> str:
    """Never empty: what was measured is there."""
    eighths = max(round(share * room * 8), 1)
    if is_plain:
        return "#" * max(round(eighths / 8), 1)
    whole, rest = divmod(eighths, 8)
    return "█" * whole + (_EIGHTHS[rest] if rest else "")


def number(value: float | None) -> str:
    """A figure with three digits or so, for people; a dash where there is none."""
    if value is None:
        return "-"
    if value >= 100:  # noqa: PLR2004 three digits
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 1 else f"{value:.3g}"
