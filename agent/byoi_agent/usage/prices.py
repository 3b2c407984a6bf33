"""The owner's own prices: those of a model, else those for all."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from byoi_wire.offers import Prices


@dataclass(frozen=True)
class PriceList:
    """`by_model` has the models whose `[[models]]` name prices of their own."""

    general: Prices | None = None
    by_model: Mapping[str, Prices] = field(default_factory=dict)

    def of(self, model: str) -> Prices | None:
        """What a million of its tokens cost; None where the owner has not said."""
        return self.by_model.get(model, self.general)
