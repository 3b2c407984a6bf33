from __future__ import annotations

from byoi_agent.usage.prices import PriceList
from byoi_wire.offers import Prices

ALL = Prices(currency="EUR", input=1, output=2)
OWN = Prices(currency="USD", input=3, output=4, cached=1)


def test_a_models_own_prices_go_before_those_for_all():
    prices = PriceList(ALL, {"large": OWN})
    assert [prices.of(name) for name in ("large", "smol")] == [OWN, ALL]
    assert PriceList(None, {"large": OWN}).of("smol") is None
