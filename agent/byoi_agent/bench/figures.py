"""From answers as they came to the figures that are told; pure."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

LEAST_ANSWERS: Final = 3
"""Fewer of them tell nothing: they are refused rather than reported."""

_MILLISECONDS: Final = 1000.0


@dataclass(frozen=True)
class Answer:
    """One request's course, in monotonic seconds; `pieces` are the moments when text came.

    A piece is usually a token, but engines may join several. The counts are the engine's own
    `usage`, None where it told none. `failure` is None for a whole answer.
    """

    began: float
    ended: float
    pieces: tuple[float, ...] = ()
    prompt_tokens: int | None = None
    cached_tokens: int = 0
    completion_tokens: int | None = None
    failure: str | None = None

    @property
    def tokens(self) -> int:
        """What it generated: by `usage`, else one for each piece."""
        return len(self.pieces) if self.completion_tokens is None else self.completion_tokens

    @property
    def first_token_seconds(self) -> float | None:
        """From asking to the first text; None where none came."""
        return self.pieces[0] - self.began if self.pieces else None

    @property
    def decode_tokens_per_second(self) -> float | None:
        """Once it had begun; None where all came at once."""
        if not self.pieces or (seconds := self.pieces[-1] - self.pieces[0]) <= 0:
            return None
        later = (len(self.pieces) - 1) / len(self.pieces)
        return self.tokens * later / seconds

    @property
    def prefill_tokens_per_second(self) -> float | None:
        """Tokens of the prompt that were computed (not cached), by the time to the first text."""
        seconds = self.first_token_seconds
        if self.prompt_tokens is None or not seconds:
            return None
        return max(self.prompt_tokens - self.cached_tokens, 0) / seconds


@dataclass(frozen=True)
class Level:
    """What came at one concurrency.

    `tokens_per_second` is of all requests together, `request_tokens_per_second` that of the middle
    request after its first token. Figures are None where too few answers came; `problem` says so.
    """

    concurrency: int
    seconds: float
    answers: int
    failures: Mapping[str, int] = field(default_factory=dict)
    first_token_ms_p50: float | None = None
    first_token_ms_p95: float | None = None
    request_tokens_per_second: float | None = None
    tokens_per_second: float | None = None
    prompt_tokens: float | None = None
    completion_tokens: float | None = None
    cached_share: float | None = None
    joules: float | None = None
    problem: str | None = None

    @property
    def joules_per_token(self) -> float | None:
        """Energy by generated token; None where none was measured."""
        tokens = (self.tokens_per_second or 0.0) * self.seconds
        return self.joules / tokens if self.joules is not None and tokens else None


@dataclass(frozen=True)
class Prefill:
    """What reading a prompt takes, alone; None where too few answers came."""

    answers: int
    prompt_tokens: float | None = None
    tokens_per_second: float | None = None
    problem: str | None = None


def percentile(values: Iterable[float], share: float) -> float | None:
    """The smallest value that so large a share of them does not exceed (nearest rank)."""
    ordered = sorted(values)
    if not ordered:
        return None
    return ordered[max(math.ceil(share * len(ordered)), 1) - 1]


def middle(values: Iterable[float | None]) -> float | None:
    """The median of those that are known."""
    known = [value for value in values if value is not None]
    return median(known) if known else None


def level(
    concurrency: int,
    answers: Sequence[Answer],
    window: tuple[float, float],
    *,
    cut: Sequence[Answer] = (),
    earlier: Sequence[Answer] = (),
    joules: float | None = None,
) -> Level:
    """The figures of `answers`, those that ended within the window while all slots were asked.

    Tokens are counted as they came within the window, those of `earlier` answers (that began it as
    a warm-up) and of `cut` ones included.
    """
    whole = [answer for answer in answers if answer.failure is None]
    failures = Counter(answer.failure for answer in answers if answer.failure is not None)
    seconds = max(window[1] - window[0], 0.0)
    told = Level(concurrency, seconds, len(whole), dict(failures), joules=joules)
    if (problem := _problem(whole, failures.total(), seconds)) is not None:
        return Level(concurrency, seconds, len(whole), dict(failures), problem=problem)
    firsts = [a.first_token_seconds for a in whole if a.first_token_seconds is not None]
    prompt = sum(answer.prompt_tokens or 0 for answer in whole)
    came = _tokens_within(window, (*earlier, *answers, *cut), _tokens_per_piece(whole))
    return Level(
        concurrency=told.concurrency,
        seconds=told.seconds,
        answers=told.answers,
        failures=told.failures,
        first_token_ms_p50=_milliseconds(percentile(firsts, 0.5)),
        first_token_ms_p95=_milliseconds(percentile(firsts, 0.95)),
        request_tokens_per_second=middle(answer.decode_tokens_per_second for answer in whole),
        tokens_per_second=came / seconds,
        prompt_tokens=middle(answer.prompt_tokens for answer in whole),
        completion_tokens=middle(answer.tokens for answer in whole),
        cached_share=sum(answer.cached_tokens for answer in whole) / prompt if prompt else None,
        joules=told.joules,
    )


def prefill(answers: Sequence[Answer]) -> Prefill:
    """The middle of what single prompts took."""
    whole = [answer for answer in answers if answer.failure is None]
    if len(whole) < LEAST_ANSWERS:
        return Prefill(len(whole), problem=_too_few(whole, len(answers) - len(whole)))
    rate = middle(answer.prefill_tokens_per_second for answer in whole)
    problem = None if rate is not None else "the engine does not tell how long prompts are"
    return Prefill(len(whole), middle(a.prompt_tokens for a in whole), rate, problem)


def _problem(whole: Sequence[Answer], failed: int, seconds: float) -> str | None:
    if len(whole) < LEAST_ANSWERS or seconds <= 0:
        return _too_few(whole, failed)
    if failed > len(whole):
        return f"most requests failed: {failed} of {failed + len(whole)}"
    if not any(answer.pieces for answer in whole):
        return "the answers hold no text"
    return None


def _too_few(whole: Sequence[Answer], failed: int) -> str:
    failures = f", {failed} failed" if failed else ""
    return f"too few answers came: {len(whole)}{failures}"


def _tokens_per_piece(whole: Iterable[Answer]) -> float:
    known = [a for a in whole if a.completion_tokens is not None and a.pieces]
    pieces = sum(len(answer.pieces) for answer in known)
    return sum(answer.tokens for answer in known) / pieces if pieces else 1.0


def _tokens_within(
    window: tuple[float, float], answers: Iterable[Answer], usual_per_piece: float
) -> float:
    """Each answer's tokens spread evenly over its pieces; a cut one told no count."""
    begin, end = window
    tokens = 0.0
    for answer in answers:
        within = sum(begin < at <= end for at in answer.pieces)
        is_told = answer.completion_tokens is not None and answer.pieces
        per_piece = answer.tokens / len(answer.pieces) if is_told else usual_per_piece
        tokens += within * per_piece
    return tokens


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * _MILLISECONDS
