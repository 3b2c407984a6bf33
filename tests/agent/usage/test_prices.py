from __future__ import annotations

from byoi_agent.config.tables import ModelSetting, Prices
from byoi_agent.usage.prices import PriceList, devices_by_model, price_list
from byoi_wire.offers import Prices as OfferedPrices

ALL = Prices(currency="EUR", input=1, output=2)
OWN = Prices(currency="USD", input=3, output=4, cached=1)
SERVED = (
    (ModelSetting(model="/srv/large", prices=OWN, gpus=(1, 2)), ("large", "large-adapter")),
    (ModelSetting(model="smol"), ("smol",)),
)


def test_a_models_own_prices_go_before_those_for_all():
    prices = price_list(ALL, SERVED)
    assert [prices.of(name) for name in ("large", "large-adapter", "smol")] == [OWN, OWN, ALL]
    assert price_list(None, SERVED).of("smol") is None
    assert PriceList().of("smol") is None


def test_they_are_offered_in_the_words_of_the_wire():
    prices = price_list(None, SERVED)
    assert prices.offered("large") == OfferedPrices(currency="USD", input=3, output=4, cached=1)
    assert prices.offered("smol") is None


def test_models_whose_gpus_are_named_have_those_alone():
    gpus = frozenset({1, 2})
    assert devices_by_model(SERVED) == {"large": gpus, "large-adapter": gpus}
