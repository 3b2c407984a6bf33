"""The figures of a run as a table: each beside nginx→nginx, with the goal where there is one."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from run import Result, Scenario

OURS, REFERENCE, DIRECT = "byoi", "nginx→nginx", "direct"
HEADINGS = ("scenario", "figure", "nginx→nginx", "byoi", "ratio (rounds)", "goal", "")
CPU_GOALS = {"32 paced": 1.0, "256 paced": 0.7, "256 spread": 0.8}


class Row(NamedTuple):
    """One figure of one scenario, in words."""

    scenario: str
    figure: str
    reference: str
    ours: str
    ratio: str
    goal: str
    verdict: str


class Figure(NamedTuple):
    """How one number is read from a result, and what is asked of it.

    `goal_ratio` bounds ours divided by the reference from above; `goal_value` bounds ours itself,
    from above or, with `at_least`, from below.
    """

    name: str
    read: Callable[[Result], float | None]
    form: str
    goal_ratio: float | None = None
    goal_value: float | None = None
    at_least: bool = False


def rows(results: Sequence[Result], scenarios: Iterable[Scenario]) -> list[Row]:
    """Every figure of every scenario that was measured."""
    found = []
    for scenario in scenarios:
        direct = _values(results, DIRECT, scenario.name, _first_token)
        floor = statistics.median(direct) if direct else 0.0
        for figure in _figures(scenario, floor):
            reference = _values(results, REFERENCE, scenario.name, figure.read)
            ours = _values(results, OURS, scenario.name, figure.read)
            if reference or ours:
                found.append(_row(scenario.name, figure, reference, ours))
    return found


def _figures(scenario: Scenario, direct_first_token_us: float) -> list[Figure]:
    if scenario.model == "fast":
        return [
            Figure(
                "added time to first token, p50 µs",
                lambda result: _added(result, direct_first_token_us),
                "{:.0f}",
                2.0 if scenario.streams == 1 else None,
                500.0 if scenario.streams == 1 else None,
            ),
            Figure("CPU per request, µs", _cpu_per_answer, "{:.0f}"),
        ]
    asked = scenario.streams * 50
    return [
        Figure("CPU per chunk, µs", _cpu_per_chunk, "{:.1f}", CPU_GOALS.get(scenario.name)),
        Figure(
            f"chunks/s kept of {asked}",
            lambda result: _chunks_per_second(result) / asked,
            "{:.3f}",
            goal_value=0.95,
            at_least=True,
        ),
        Figure(
            "delay of a chunk, p50 ms",
            _delay_ms,
            "{:.2f}",
            goal_value=2.0 if scenario.model == "spread" else None,
        ),
        Figure("memory of the path, MiB", lambda result: result.resident_bytes / 2**20, "{:.0f}"),
        Figure(
            "memory per live stream, KiB",
            lambda result: _memory_per_stream_kib(result, scenario.streams),
            "{:.1f}",
            goal_value=20.0 if scenario.streams >= 1000 else None,
        ),
    ][: 5 if scenario.streams >= 1000 else 4]


def _row(scenario: str, figure: Figure, reference: Sequence[float], ours: Sequence[float]) -> Row:
    ratios = [mine / theirs for mine, theirs in zip(ours, reference, strict=False) if theirs > 0]
    ratio = statistics.median(ratios) if ratios else None
    value = statistics.median(ours) if ours else None
    goals, is_met = [], True
    if figure.goal_ratio is not None:
        goals.append(f"ratio ≤ {figure.goal_ratio:g}")
        is_met &= ratio is not None and ratio <= figure.goal_ratio
    if figure.goal_value is not None:
        goals.append(f"{'≥' if figure.at_least else '≤'} {figure.goal_value:g}")
        is_met &= value is not None and (
            value >= figure.goal_value if figure.at_least else value <= figure.goal_value
        )
    spread = f" ({min(ratios):.2f}-{max(ratios):.2f})" if ratios else ""
    return Row(
        scenario,
        figure.name,
        figure.form.format(statistics.median(reference)) if reference else "",
        figure.form.format(value) if value is not None else "",
        f"{ratio:.2f}{spread}" if ratio is not None else "",
        ", ".join(goals),
        ("met" if is_met else "missed") if goals and value is not None else "",
    )


def _values(
    results: Iterable[Result], path: str, scenario: str, read: Callable[[Result], float | None]
) -> list[float]:
    chosen = (read(one) for one in results if one.path == path and one.scenario == scenario)
    return [value for value in chosen if value is not None]


def _percentile(result: Result, what: str, percentile: str) -> float | None:
    seen = result.load.get(what)
    return float(seen[percentile]) if isinstance(seen, dict) else None


def _first_token(result: Result) -> float | None:
    return _percentile(result, "first_token_us", "p50")


def _added(result: Result, direct: float) -> float | None:
    seen = _first_token(result)
    return None if seen is None else seen - direct


def _delay_ms(result: Result) -> float | None:
    seen = _percentile(result, "delay_us", "p50")
    return None if seen is None else seen / 1000


def _cpu_per_chunk(result: Result) -> float | None:
    return result.cpu_seconds / result.chunks * 1e6 if result.chunks else None


def _cpu_per_answer(result: Result) -> float | None:
    answers = int(str(result.load["answers"]))
    return result.cpu_seconds / answers * 1e6 if answers else None


def _chunks_per_second(result: Result) -> float:
    return result.chunks / float(str(result.load["seconds"]))


def _memory_per_stream_kib(result: Result, streams: int) -> float:
    return (result.resident_bytes - result.resident_idle_bytes) / streams / 1024


def text_table(table: Sequence[Row]) -> str:
    """Aligned columns for a terminal."""
    lines = [HEADINGS, *table]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def markdown_table(table: Sequence[Row]) -> str:
    """The same for docs/performance.md."""
    lines = [HEADINGS, ("---",) * len(HEADINGS), *table]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def verdict(results: Sequence[Result], seconds: float) -> str:
    """Whether every answer was whole, and how long it all took."""

    def total(what: str) -> int:
        return sum(int(str(result.load[what])) for result in results)

    chunks = sum(result.chunks for result in results)
    return (
        f"\n{chunks} chunks; answers broken {total('broken')}, refused {total('refused')}, "
        f"unfinished {total('unfinished')}; {seconds:.0f} s. Ratios hold within this run only."
    )
