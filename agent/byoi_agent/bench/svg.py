"""A benchmark as one SVG file: no script, nothing from elsewhere, light and dark; pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

from byoi_agent.bench.chart import number
from byoi_agent.bench.scales import Linear, Logarithmic, apart

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from byoi_agent.bench.report import BenchReport, LevelReport
    from byoi_agent.bench.scales import Scale

_WIDTH: Final = 860
_HEIGHT: Final = 440
_TOP: Final = 118.0
_BOTTOM: Final = 338.0
_LABEL_PIXELS: Final = 26.0
_TITLE_CHARACTERS: Final = 68

_STYLE: Final = """
  svg { color-scheme: light dark; font: 13px system-ui, sans-serif; }
  .paper { fill: #ffffff; } .ink { fill: #1c2733; } .faint { fill: #55616e; }
  .title { font-size: 18px; font-weight: 600; } .head { font-weight: 600; }
  .grid { stroke: #dfe4ea; } .axis { stroke: #8a96a3; } .knee { stroke: #55616e; }
  .one { stroke: #1262b3; } .two { stroke: #b25000; }
  .one-fill { fill: #1262b3; } .two-fill { fill: #b25000; }
  .line { fill: none; stroke-width: 2.5; stroke-linejoin: round; } .small { font-size: 12px; }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #11171e; } .ink { fill: #e8edf3; } .faint { fill: #a3afbc; }
    .grid { stroke: #2a3440; } .axis { stroke: #66727f; } .knee { stroke: #a3afbc; }
    .one { stroke: #6db5ff; } .two { stroke: #f5a45d; }
    .one-fill { fill: #6db5ff; } .two-fill { fill: #f5a45d; }
  }
"""


@dataclass(frozen=True)
class _Line:
    """One curve: its name, its colour's class, and which figure of a level it shows."""

    name: str
    colour: str
    value: Callable[[LevelReport], float | None]
    dash: str = ""


@dataclass(frozen=True)
class _Panel:
    """One diagram between two edges, in pixels."""

    left: float
    right: float
    head: str
    lines: tuple[_Line, ...]
    scale: Scale


def drawing(report: BenchReport) -> str:
    """The file's text.

    Raises:
        ValueError: no level gave figures; there is nothing to draw.
    """
    levels = report.good
    if not levels:
        raise ValueError("no level gave figures")
    rates = (
        _Line("all together", "one", lambda level: level.tokens_per_second),
        _Line("each request", "two", lambda level: level.request_tokens_per_second, "6 4"),
    )
    firsts = (
        _Line("half of them", "one", lambda level: level.first_token_ms_p50),
        _Line("95 of 100", "two", lambda level: level.first_token_ms_p95, "6 4"),
    )
    panels = (
        _Panel(66, 420, "Tokens a second", rates, Linear.over(_values(rates, levels))),
        _Panel(
            496, 840, "Milliseconds to the first token", firsts,
            Logarithmic.over(_values(firsts, levels)),
        ),
    )  # fmt: skip
    parts = [_opening(report), *(part for panel in panels for part in _drawn(panel, report))]
    return "\n".join([*parts, _footer(report), "</svg>", ""])


def _opening(report: BenchReport) -> str:
    when = datetime.fromtimestamp(report.at_ms / 1000, UTC).strftime("%Y-%m-%d")
    engine = report.engine or "an OpenAI-compatible server"
    below = (
        f"{engine} · {when} · prompts of {report.prompt_tokens:,} tokens, "
        f"answers of {report.output_tokens:,}"
    )
    name = report.model
    if len(name) > _TITLE_CHARACTERS:
        name = f"{name[: _TITLE_CHARACTERS - 1]}…"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" '
            f'viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-labelledby="title desc">',
            f'<title id="title">Benchmark of {_safe(report.model)} on {_safe(engine)}</title>',
            f'<desc id="desc">{_safe(_in_words(report))}</desc>',
            f"<style>{_STYLE}</style>",
            f'<rect class="paper" width="{_WIDTH}" height="{_HEIGHT}" rx="8"/>',
            _text(24, 36, name, "ink title"),
            _text(24, 58, below, "faint"),
        ]
    )


def _in_words(report: BenchReport) -> str:
    told = [
        f"At concurrency {level.concurrency}: {number(level.tokens_per_second)} tokens a second "
        f"together, {number(level.first_token_ms_p50)} ms to the first token of the middle request."
        for level in report.good
    ]
    return " ".join([*told, f"The knee is at concurrency {report.knee_concurrency}."])


def _drawn(panel: _Panel, report: BenchReport) -> list[str]:
    across = _across(panel, report.good)
    middle = (panel.left + panel.right) / 2
    return [
        _text(panel.left, 86, panel.head, "ink head"),
        *_legend(panel),
        *_grid(panel),
        *_labels(across),
        _text(middle, _BOTTOM + 52, "requests at once", "faint small", "middle"),
        *_knee(across, report.knee_concurrency),
        *(part for line in panel.lines for part in _curve(panel, line, report.good, across)),
    ]


def _grid(panel: _Panel) -> list[str]:
    parts = []
    for tick in panel.scale.ticks:
        y = _down(panel.scale, tick)
        parts.append(
            f'<path class="grid" d="M{panel.left:.1f} {y:.1f}H{panel.right:.1f}"/>'
            + _text(panel.left - 8, y + 4, f"{tick:,.6g}", "faint small", "end")
        )
    return [*parts, f'<path class="axis" d="M{panel.left:.1f} {_BOTTOM:.1f}H{panel.right:.1f}"/>']


def _labels(across: dict[int, float]) -> list[str]:
    shown = apart(across, _LABEL_PIXELS)
    return [
        _text(x, _BOTTOM + 18, str(concurrency), "faint small", "middle")
        for concurrency, x in shown.items()
    ]


def _legend(panel: _Panel) -> list[str]:
    parts, x = [], panel.left
    for line in panel.lines:
        dash = f' stroke-dasharray="{line.dash}"' if line.dash else ""
        parts.append(
            f'<path class="line {line.colour}" d="M{x:.1f} 101H{x + 22:.1f}"{dash}/>'
            + _text(x + 28, 105, line.name, "faint small")
        )
        x += 130
    return parts


def _knee(across: dict[int, float], knee: int | None) -> list[str]:
    if knee is None:
        return []
    x = across[knee]
    return [
        f'<path class="knee" stroke-dasharray="2 4" d="M{x:.1f} {_TOP:.1f}V{_BOTTOM:.1f}"/>',
        _text(x, _BOTTOM + 33, "knee", "ink small head", "middle"),
    ]


def _curve(
    panel: _Panel, line: _Line, levels: Sequence[LevelReport], across: dict[int, float]
) -> list[str]:
    points = [
        (across[level.concurrency], _down(panel.scale, value))
        for level in levels
        if (value := line.value(level)) is not None
    ]
    if not points:
        return []
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    dash = f' stroke-dasharray="{line.dash}"' if line.dash else ""
    dots = "".join(
        f'<circle class="{line.colour}-fill" cx="{x:.1f}" cy="{y:.1f}" r="4"/>' for x, y in points
    )
    return [f'<path class="line {line.colour}" d="M{path}"{dash}/>{dots}']


def _footer(report: BenchReport) -> str:
    facts = [f"decode {number(report.decode_tokens_per_second)} tokens/s alone"]
    if report.prefill is not None and report.prefill.tokens_per_second is not None:
        facts.append(f"prefill {number(report.prefill.tokens_per_second)} tokens/s")
    if report.joules_per_token is not None:
        facts.append(f"{number(report.joules_per_token)} J/token at the knee")
    if report.flops_per_second is not None:
        facts.append(f"{number(report.flops_per_second / 1e12)} TFLOP/s")
    if report.slots is not None:
        facts.append(f"{report.slots} run at once, others wait")
    return _text(24, _HEIGHT - 22, " · ".join(facts), "ink small")


def _across(panel: _Panel, levels: Sequence[LevelReport]) -> dict[int, float]:
    """Where each concurrency stands: by its logarithm."""
    numbers = [level.concurrency for level in levels]
    first, last = math.log2(numbers[0]), math.log2(numbers[-1])
    left, room = panel.left + 16, panel.right - panel.left - 32
    if first == last:
        return {numbers[0]: left + room / 2}
    return {n: left + room * (math.log2(n) - first) / (last - first) for n in numbers}


def _down(scale: Scale, value: float) -> float:
    return _BOTTOM - scale.share(value) * (_BOTTOM - _TOP)


def _values(lines: Sequence[_Line], levels: Sequence[LevelReport]) -> list[float]:
    found = (line.value(level) for line in lines for level in levels)
    return [value for value in found if value is not None]


def _text(x: float, y: float, words: str, style: str, anchor: str = "start") -> str:
    return (
        f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">'
        f"{_safe(words)}</text>"
    )


def _safe(words: str) -> str:
    """As XML takes it: escaped, and without the characters that no XML file may hold."""
    return escape("".join(c for c in words if c.isprintable()))
