"""Stop-loss: whether a model's requests earn at least what their energy costs; pure.

What a request will take and earn is not known before it has run, so it is judged by those that
went before it: their measured energy at the tariff of now, against their tokens at the prices of
now. Without a measurement nothing is judged, and nothing refused.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from byoi_agent.usage.earnings import price_of
from byoi_agent.usage.money import NANO
from byoi_agent.usage.units import JOULES_PER_KWH, MILLION
from byoi_wire.usage import Usage

if TYPE_CHECKING:
    from byoi_wire.offers import Prices

REFUSAL: Final = "below_marginal_cost"
"""What a request's refusal says to the console."""

LEAST_REQUESTS: Final = 5
"""A model is not judged by fewer: the first ones warm the engine up."""

Verdict = Literal["serve", "refuse", "cannot_judge"]


@dataclass(frozen=True)
class Experience:
    """What measured requests of one model took and had, all together."""

    requests: int = 0
    joules: float = 0.0
    usage: Usage = field(default_factory=Usage)

    def plus(self, joules: float, usage: Usage, sign: Literal[1, -1] = 1) -> Experience:
        """One more, or one that is too old by now."""
        mine = self.usage
        return Experience(
            self.requests + sign,
            max(0.0, self.joules + sign * joules),
            Usage(
                prompt_tokens=mine.prompt_tokens + sign * usage.prompt_tokens,
                completion_tokens=mine.completion_tokens + sign * usage.completion_tokens,
                cached_tokens=mine.cached_tokens + sign * usage.cached_tokens,
            ),
        )

    @property
    def tokens(self) -> int:
        """Prompt and completion together."""
        return self.usage.prompt_tokens + self.usage.completion_tokens


@dataclass(frozen=True)
class Judgement:
    """What to do with a model's requests, and why, as the end of a sentence about it."""

    verdict: Verdict
    words: str


def judge(
    experience: Experience, prices: Prices | None, currency: str | None, price_per_kwh: float
) -> Judgement:
    """Weigh what is known of a model; `currency` is the tariff's, None where there is no tariff."""
    if (obstacle := _obstacle(experience, prices, currency)) is not None:
        return Judgement("cannot_judge", obstacle)
    assert prices is not None, "an obstacle by then"
    tokens = experience.tokens
    cost = experience.joules / JOULES_PER_KWH * price_per_kwh / tokens * MILLION
    gain = price_of(experience.usage, prices).nano / NANO / tokens * MILLION
    words = (
        f"a million of its tokens take energy for {cost:.4g} {currency} now "
        f"and earn {gain:.4g} {currency}"
    )
    return Judgement("refuse" if cost > gain else "serve", words)


def _obstacle(experience: Experience, prices: Prices | None, currency: str | None) -> str | None:
    if currency is None:
        return "no [tariff] is set"
    if prices is None:
        return "it has no [prices]"
    if prices.currency != currency:
        return f"its prices are in {prices.currency} and the tariff is in {currency}"
    if experience.requests < LEAST_REQUESTS or not experience.tokens:
        return f"the energy of {experience.requests} requests was measured so far"
    return None
