"""A benchmark's report for people: a table, bars, and what follows from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text

from byoi_agent.bench.chart import chart, number

if TYPE_CHECKING:
    from rich.console import RenderableType

    from byoi_agent.bench.report import BenchReport, LevelReport


def bench_view(report: BenchReport, width: int, *, is_plain: bool) -> RenderableType:
    """All of it; `is_plain` keeps to ASCII."""
    parts: list[RenderableType] = [_table(report), Text(chart(report, width, is_plain=is_plain))]
    lines = [Text(line) for line in (*_conclusions(report), *_fate(report))]
    notes = [Text(f"* {note}", style="dim") for note in report.notes]
    return Group(Text(), *_apart([*parts, Group(*lines), *([Group(*notes)] if notes else [])]))


def _apart(parts: list[RenderableType]) -> list[RenderableType]:
    """With an empty line between them."""
    return [each for part in parts for each in (part, Text())][:-1]


def _table(report: BenchReport) -> Table:
    has_energy = any(level.joules_per_token is not None for level in report.levels)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in ("at once", "first token ms", "95 of 100", "tokens/s each", "together"):
        table.add_column(head, justify="right")
    if has_energy:
        table.add_column("J/token", justify="right")
    table.add_column("answers", justify="right")
    table.add_column("failed", justify="right")
    for level in report.levels:
        table.add_row(*_cells(level, has_energy=has_energy))
    return table


def _cells(level: LevelReport, *, has_energy: bool) -> list[str]:
    figures = [
        level.first_token_ms_p50,
        level.first_token_ms_p95,
        level.request_tokens_per_second,
        level.tokens_per_second,
        *([level.joules_per_token] if has_energy else []),
    ]
    counts = [level.answers, sum(level.failures.values())]
    return [str(level.concurrency), *map(number, figures), *(f"{count:,}" for count in counts)]


def _conclusions(report: BenchReport) -> list[str]:
    lines = []
    if report.knee_concurrency is not None:
        lines.append(
            f"knee      {report.knee_concurrency} at once, "
            f"{number(report.knee_tokens_per_second)} tokens/s together"
        )
    if report.decode_tokens_per_second is not None:
        lines.append(f"decode    {number(report.decode_tokens_per_second)} tokens/s, one alone")
    if report.prefill is not None and report.prefill.tokens_per_second is not None:
        lines.append(
            f"prefill   {number(report.prefill.tokens_per_second)} tokens/s, prompts of "
            f"{report.prefill.prompt_tokens_p50 or 0:,.0f} tokens"
        )
    joules = report.joules_per_token
    lines.append(
        "energy    not measured: nothing here tells it"
        if joules is None
        else f"energy    {number(joules)} J/token at the knee, at rest included"
    )
    if report.flops_per_second is not None:
        lines.append(f"compute   {number(report.flops_per_second / 1e12)} TFLOP/s achieved")
    return lines


def _fate(report: BenchReport) -> list[str]:
    if not report.is_whole:
        return ["stopped early: nothing is kept or advertised"]
    lines = [] if report.knee_concurrency is not None else ["kept      nothing: no knee was found"]
    if report.slots is not None and any(lv.concurrency > report.slots for lv in report.levels):
        lines.append(
            f"queue     {report.slots} requests run at once: beyond, the first token waits its turn"
        )
    if report.is_kept:
        lines.append(f"kept      for {report.model} on {report.engine}; the node advertises it")
    return lines
