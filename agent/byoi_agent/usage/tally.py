"""Counts since this start of the agent, kept as requests end; whoever asks gets a frozen copy."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from byoi_agent.usage.report import UsageFilter, UsageTotals

if TYPE_CHECKING:
    from collections.abc import Mapping

    from byoi_agent.clock import Clock
    from byoi_agent.usage.report import UsageReport
    from byoi_wire.usage import UsageRecord

FIRST_TOKEN_SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
DURATION_SECONDS: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
"""Upper bounds of the histograms' buckets; a last one without a bound follows."""

RATE_SECONDS: Final = 60
"""Tokens a second are those of the answers that ended within so long."""


class RecordKeeper(Protocol):
    """Where records become durable; the outbox is one."""

    @property
    def refusal(self) -> str | None: ...  # noqa: D102
    async def commit(self, record: UsageRecord) -> None: ...  # noqa: D102


class Ended(NamedTuple):
    """What is counted apart: names of models are the engine's own, so there are few."""

    model: str
    outcome: str


@dataclass(frozen=True)
class Times:
    """A histogram: `counts` has one number for each bound and one for all beyond."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    sum_seconds: float


@dataclass(frozen=True)
class TallyView:
    """The counts at one moment."""

    requests: Mapping[Ended, int]
    prompt_tokens: Mapping[str, int]
    completion_tokens: Mapping[str, int]
    cached_tokens: Mapping[str, int]
    first_token: Times
    duration: Times
    tokens_per_second: float
    today: UsageTotals


class Tally:
    """Sole owner of the counts; stands before the keeper of records and counts what it kept."""

    def __init__(self, keeper: RecordKeeper, clock: Clock) -> None:
        self._keeper = keeper
        self._clock = clock
        self._requests: Counter[Ended] = Counter()
        self._prompt: Counter[str] = Counter()
        self._completion: Counter[str] = Counter()
        self._cached: Counter[str] = Counter()
        self._first_token = _Histogram(FIRST_TOKEN_SECONDS)
        self._duration = _Histogram(DURATION_SECONDS)
        self._recent: deque[tuple[int, int]] = deque(maxlen=RATE_SECONDS + 1)
        self._day = ""
        self._today = UsageTotals()

    @property
    def refusal(self) -> str | None:
        """Why no new work may be taken now, None if it may."""
        return self._keeper.refusal

    async def commit(self, record: UsageRecord) -> None:
        """Keep a record and count it. Raises as the keeper does."""
        await self._keeper.commit(record)
        self._count(record)

    def begin(self, report: UsageReport) -> None:
        """What today's totals were before this start; of an earlier day nothing is taken."""
        self._turn_day()
        days = [row for row in report.rows if row.day == self._day]
        for row in days:
            self._add_today(
                row.requests, row.prompt_tokens, row.completion_tokens, row.cached_tokens
            )

    def view(self) -> TallyView:
        """The counts now."""
        self._turn_day()
        return TallyView(
            requests=dict(self._requests),
            prompt_tokens=dict(self._prompt),
            completion_tokens=dict(self._completion),
            cached_tokens=dict(self._cached),
            first_token=self._first_token.view(),
            duration=self._duration.view(),
            tokens_per_second=self._rate(),
            today=self._today,
        )

    def _count(self, record: UsageRecord) -> None:
        usage, model = record.usage, record.model
        self._requests[Ended(model, record.outcome)] += 1
        self._prompt[model] += usage.prompt_tokens
        self._completion[model] += usage.completion_tokens
        self._cached[model] += usage.cached_tokens
        if record.first_token_ms is not None:
            self._first_token.add(record.first_token_ms / 1000)
        self._duration.add(record.duration_ms / 1000)
        self._note_rate(usage.completion_tokens)
        self._turn_day()
        if _day_of(record.started_at_ms / 1000) == self._day:
            self._add_today(1, usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens)

    def _note_rate(self, tokens: int) -> None:
        second = int(self._clock.monotonic())
        if self._recent and self._recent[-1][0] == second:
            tokens += self._recent.pop()[1]
        self._recent.append((second, tokens))

    def _rate(self) -> float:
        since = self._clock.monotonic() - RATE_SECONDS
        return sum(tokens for second, tokens in self._recent if second > since) / RATE_SECONDS

    def _turn_day(self) -> None:
        if (day := _day_of(self._clock.wall())) != self._day:
            self._day, self._today = day, UsageTotals()

    def _add_today(self, requests: int, prompt: int, completion: int, cached: int) -> None:
        today = self._today
        self._today = UsageTotals(
            requests=today.requests + requests,
            prompt_tokens=today.prompt_tokens + prompt,
            completion_tokens=today.completion_tokens + completion,
            cached_tokens=today.cached_tokens + cached,
            total_tokens=today.total_tokens + prompt + completion,
        )


def today(unix_seconds: float) -> UsageFilter:
    """The day that a moment belongs to."""
    return UsageFilter(since=_day_of(unix_seconds), until=_day_of(unix_seconds))


class _Histogram:
    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def add(self, seconds: float) -> None:
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._sum += seconds

    def view(self) -> Times:
        return Times(self._bounds, tuple(self._counts), self._sum)


def _day_of(unix_seconds: float) -> str:
    """As the report has it: in UTC."""
    return datetime.fromtimestamp(unix_seconds, UTC).date().isoformat()
