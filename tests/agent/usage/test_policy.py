from __future__ import annotations

import pytest

from byoi_agent.usage.policy import LEAST_REQUESTS, Experience, judge
from byoi_wire.offers import Prices
from byoi_wire.usage import Usage

PRICES = Prices(currency="EUR", input=0.1, output=0.1)
USAGE = Usage(prompt_tokens=400, completion_tokens=600)


def experience(joules=1200.0, requests=LEAST_REQUESTS, usage=USAGE):
    """A thousand tokens: a million of them would take 1.2 MJ, a third of a kWh."""
    return Experience(requests, joules, usage)


@pytest.mark.parametrize(("price", "verdict"), [(0.29, "serve"), (0.3, "serve"), (0.31, "refuse")])
def test_a_model_is_refused_once_its_energy_costs_more_than_it_earns(price, verdict):
    assert judge(experience(), PRICES, "EUR", price).verdict == verdict


def test_the_judgement_tells_both_sides():
    words = judge(experience(), PRICES, "EUR", 0.6).words
    assert words == ("a million of its tokens take energy for 0.2 EUR now and earn 0.1 EUR")


@pytest.mark.parametrize(
    ("known", "prices", "currency", "words"),
    [
        (experience(), PRICES, None, "no [tariff] is set"),
        (experience(), None, "EUR", "it has no [prices]"),
        (experience(), PRICES, "USD", "its prices are in EUR and the tariff is in USD"),
        (Experience(), PRICES, "EUR", "the energy of 0 requests was measured so far"),
        (experience(requests=4), PRICES, "EUR", "the energy of 4 requests was measured so far"),
        (experience(usage=Usage()), PRICES, "EUR", "the energy of 5 requests was measured so far"),
    ],
)
def test_what_is_not_known_is_not_judged(known, prices, currency, words):
    found = judge(known, prices, currency, 100.0)
    assert (found.verdict, found.words) == ("cannot_judge", words)


def test_free_electricity_is_never_too_dear():
    free = Prices(currency="EUR", input=0, output=0)
    assert judge(experience(), free, "EUR", 0.0).verdict == "serve"


def test_experience_grows_and_forgets():
    one = Experience().plus(10.0, USAGE)
    assert (one.requests, one.joules, one.tokens) == (1, 10.0, 1000)
    assert one.plus(10.0, USAGE, sign=-1) == Experience()
