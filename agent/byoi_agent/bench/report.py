"""What a benchmark found, as a model: for `byoi bench --json`, for charts, and for routing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from byoi_agent.bench.policy import is_open, knee
from byoi_wire.offers import Measured

if TYPE_CHECKING:
    from collections.abc import Iterable

    from byoi_agent.bench.figures import Level, Prefill


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class LevelReport(_Part):
    """One concurrency; see `figures.Level`. A figure that was not measured is None."""

    concurrency: int
    window_seconds: float
    answers: int
    failures: dict[str, int]
    first_token_ms_p50: float | None = None
    first_token_ms_p95: float | None = None
    request_tokens_per_second: float | None = None
    tokens_per_second: float | None = None
    prompt_tokens_p50: float | None = None
    completion_tokens_p50: float | None = None
    cached_share: float | None = None
    joules: float | None = None
    joules_per_token: float | None = None
    problem: str | None = None


class PrefillReport(_Part):
    """Reading prompts, one alone at a time."""

    answers: int
    prompt_tokens_p50: float | None = None
    tokens_per_second: float | None = None
    problem: str | None = None


class BenchReport(_Part):
    """All of it. `notes` are for people.

    `is_whole` says that it ran to its end, `is_kept` that the node here knows and advertises it.

    `slots` is what the engine runs at once: beyond it requests wait in a queue, and the time to
    their first token holds that wait. `flops_per_second` is twice the active parameters for each
    token of a prompt that was read.
    """

    model: str
    engine: str | None
    at_ms: int
    is_whole: bool = False
    is_kept: bool = False
    slots: int | None
    context_tokens: int | None
    prompt_tokens: int
    output_tokens: int
    seconds_per_level: float
    levels: tuple[LevelReport, ...] = ()
    prefill: PrefillReport | None = None
    decode_tokens_per_second: float | None = None
    knee_concurrency: int | None = None
    knee_tokens_per_second: float | None = None
    joules_per_token: float | None = None
    active_parameters: int | None = None
    flops_per_second: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def alone(self) -> LevelReport | None:
        """One request at a time, where that gave figures."""
        return next((level for level in self.good if level.concurrency == 1), None)

    @property
    def good(self) -> tuple[LevelReport, ...]:
        """The levels that gave figures."""
        return tuple(level for level in self.levels if level.tokens_per_second is not None)


def level_report(level: Level) -> LevelReport:
    """One level's figures, rounded to what they are worth."""
    return LevelReport(
        concurrency=level.concurrency,
        window_seconds=round(level.seconds, 3),
        answers=level.answers,
        failures=dict(level.failures),
        first_token_ms_p50=_rounded(level.first_token_ms_p50),
        first_token_ms_p95=_rounded(level.first_token_ms_p95),
        request_tokens_per_second=_rounded(level.request_tokens_per_second),
        tokens_per_second=_rounded(level.tokens_per_second),
        prompt_tokens_p50=level.prompt_tokens,
        completion_tokens_p50=level.completion_tokens,
        cached_share=_rounded(level.cached_share, 4),
        joules=_rounded(level.joules),
        joules_per_token=_rounded(level.joules_per_token, 6),
        problem=level.problem,
    )


def finished(
    draft: BenchReport,
    levels: Iterable[Level],
    prefill: Prefill | None,
    *,
    is_whole: bool,
    notes: Iterable[str] = (),
) -> BenchReport:
    """The draft, which says what was asked, with what came and what follows from it."""
    told = tuple(sorted(map(level_report, levels), key=lambda level: level.concurrency))
    sums = {level.concurrency: level.tokens_per_second for level in told}
    at_knee = None if is_open(sums, draft.slots) else knee(sums)
    best = next((level for level in told if level.concurrency == at_knee), None)
    rate = None if prefill is None else prefill.tokens_per_second
    if told and at_knee is None:
        notes = (*notes, "where the knee is was not found: the levels above gave no figures")
    whole = draft.model_copy(
        update={
            "is_whole": is_whole,
            "levels": told,
            "prefill": None if prefill is None else _prefill_report(prefill),
            "knee_concurrency": at_knee,
            "knee_tokens_per_second": None if best is None else best.tokens_per_second,
            "joules_per_token": None if best is None else best.joules_per_token,
            "flops_per_second": _flops(rate, draft.active_parameters),
            "notes": (*draft.notes, *notes),
        }
    )
    alone = whole.alone
    decode = None if alone is None else alone.request_tokens_per_second
    return whole.model_copy(update={"decode_tokens_per_second": decode})


def measured_of(report: BenchReport) -> Measured | None:
    """What is advertised; None where routing would miss a figure, or where it was cut short."""
    alone = report.alone
    if not report.is_whole or report.engine is None or alone is None:
        return None
    decode, first = report.decode_tokens_per_second, alone.first_token_ms_p50
    knee_rate = report.knee_tokens_per_second
    if report.knee_concurrency is None or None in {decode, first, knee_rate}:
        return None
    return Measured(
        at_ms=report.at_ms,
        engine=report.engine,
        first_token_ms=first or 0.0,
        prefill_tokens_per_second=None
        if report.prefill is None
        else report.prefill.tokens_per_second,
        decode_tokens_per_second=decode or 0.0,
        knee_concurrency=report.knee_concurrency,
        knee_tokens_per_second=knee_rate or 0.0,
        joules_per_token=report.joules_per_token,
        flops=report.flops_per_second,
    )


def _prefill_report(prefill: Prefill) -> PrefillReport:
    return PrefillReport(
        answers=prefill.answers,
        prompt_tokens_p50=prefill.prompt_tokens,
        tokens_per_second=_rounded(prefill.tokens_per_second),
        problem=prefill.problem,
    )


def _flops(rate: float | None, active_parameters: int | None) -> float | None:
    """Two operations for each active parameter and token, one multiplication and one addition."""
    return None if rate is None or active_parameters is None else 2.0 * active_parameters * rate


def _rounded(value: float | None, digits: int = 3) -> float | None:
    return None if value is None else round(value, digits)
