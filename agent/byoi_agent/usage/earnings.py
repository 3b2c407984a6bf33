"""What a request earned at the owner's own prices, and what is left of it: pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from byoi_agent.usage.money import Money, exact, whole_nano
from byoi_agent.usage.units import MILLION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from byoi_wire.offers import Prices
    from byoi_wire.usage import Usage, UsageRecord


class Net(NamedTuple):
    """What is left; `amount` is None where there is none to tell, and `reason` says why."""

    amount: Money | None
    reason: str | None = None


def price_of(usage: Usage, prices: Prices) -> Money:
    """Prompt tokens that were cached cost their own price, where there is one, not both."""
    cached = min(usage.cached_tokens, usage.prompt_tokens)
    cached_price = prices.input if prices.cached is None else prices.cached
    millions = (
        exact(usage.prompt_tokens - cached) * exact(prices.input)
        + exact(cached) * exact(cached_price)
        + exact(usage.completion_tokens) * exact(prices.output)
    )
    return Money(prices.currency, whole_nano(millions / MILLION))


def earned(record: UsageRecord, prices: Prices) -> Money:
    """What a record earns: of a failed request of which nothing was delivered, nothing."""
    if record.outcome == "failed" and not record.sent_bytes:
        return Money(prices.currency, 0)
    return price_of(record.usage, prices)


def net(earnings: Mapping[str, int], costs: Mapping[str, int]) -> Net:
    """Earnings without costs, in billionths by currency; two currencies are never added."""
    currencies = sorted({*earnings, *costs})
    if not currencies:
        return Net(None)
    if len(currencies) > 1:
        return Net(None, f"no net: there are amounts in {' and '.join(currencies)}")
    (currency,) = currencies
    return Net(Money(currency, earnings.get(currency, 0) - costs.get(currency, 0)))
