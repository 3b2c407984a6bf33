"""What the owner has said of each model that is served: its prices, and the GPUs that it uses."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from byoi_wire.offers import Prices as OfferedPrices

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from byoi_agent.config.tables import ModelSetting, Prices

Served: TypeAlias = "Sequence[tuple[ModelSetting, Iterable[str]]]"
"""Each `[[models]]` with the names under which its engine offers models, adapters among them."""


@dataclass(frozen=True)
class PriceList:
    """`by_model` has the models whose `[[models]]` name prices of their own."""

    general: Prices | None = None
    by_model: Mapping[str, Prices] = field(default_factory=dict)

    def of(self, model: str) -> Prices | None:
        """What a million of its tokens cost; None where the owner has not said."""
        return self.by_model.get(model, self.general)

    def offered(self, model: str) -> OfferedPrices | None:
        """The same in the words of an offer."""
        prices = self.of(model)
        return None if prices is None else OfferedPrices.model_validate(prices.model_dump())


def price_list(general: Prices | None, served: Served) -> PriceList:
    """The prices that hold, of what is served."""
    own = {
        name: setting.prices
        for setting, names in served
        if setting.prices is not None
        for name in names
    }
    return PriceList(general, own)


def devices_by_model(served: Served) -> dict[str, frozenset[int]]:
    """The GPUs of the models whose `[[models]]` name them."""
    return {
        name: frozenset(setting.gpus)
        for setting, names in served
        if setting.gpus is not None
        for name in names
    }
