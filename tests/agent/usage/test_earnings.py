from __future__ import annotations

import pytest

from byoi_agent.usage.earnings import Net, earned, net, price_of
from byoi_agent.usage.money import Money
from byoi_wire.offers import Prices
from byoi_wire.usage import Usage

PRICES = Prices(currency="EUR", input=0.15, output=0.60)


@pytest.mark.parametrize(
    ("usage", "cached", "nano"),
    [
        (Usage(prompt_tokens=1), None, 150),
        (Usage(completion_tokens=1), None, 600),
        (Usage(prompt_tokens=1_000_000, completion_tokens=1_000_000), None, 750_000_000),
        (Usage(prompt_tokens=10, cached_tokens=4), None, 1500),
        (Usage(prompt_tokens=10, cached_tokens=4), 0.05, 1100),
        (Usage(prompt_tokens=10, cached_tokens=4), 0.0, 900),
        (Usage(prompt_tokens=4, cached_tokens=10), 0.05, 200),  # an engine that miscounts
        (Usage(), None, 0),
    ],
)
def test_the_price_of_tokens_is_exact(usage, cached, nano):
    prices = PRICES.model_copy(update={"cached": cached})
    assert price_of(usage, prices) == Money("EUR", nano)


def test_a_third_of_a_cent_is_rounded_once():
    thirds = Prices(currency="JPY", input=1 / 3, output=0)
    assert price_of(Usage(prompt_tokens=3_000_000), thirds).nano == 1_000_000_000


@pytest.mark.parametrize(
    ("outcome", "sent_bytes", "nano"),
    [("complete", 0, 4500), ("cancelled", 0, 4500), ("failed", 9, 4500), ("failed", 0, 0)],
)
def test_a_failed_request_of_which_nothing_was_delivered_earns_nothing(
    record, outcome, sent_bytes, nano
):
    assert earned(record(outcome=outcome, sent_bytes=sent_bytes), PRICES) == Money("EUR", nano)


@pytest.mark.parametrize(
    ("earnings", "costs", "left"),
    [
        ({}, {}, Net(None)),
        ({"EUR": 5}, {"EUR": 7}, Net(Money("EUR", -2))),
        ({"EUR": 5}, {}, Net(Money("EUR", 5))),
        ({}, {"EUR": 7}, Net(Money("EUR", -7))),
        ({"USD": 5}, {"EUR": 7}, Net(None, "no net: there are amounts in EUR and USD")),
    ],
)
def test_what_is_left_is_told_in_one_currency_or_not_at_all(earnings, costs, left):
    assert net(earnings, costs) == left
