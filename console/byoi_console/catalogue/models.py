"""The models a caller may use now, in the shapes of OpenAI's `/v1/models`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from byoi_console.routing.choose import near_matches

if TYPE_CHECKING:
    from byoi_console.accounts.principal import Principal
    from byoi_console.routing.registry import Registry
    from byoi_wire.offers import ModelOffer


class Catalogue:
    """Reads the registry on behalf of one caller; keeps nothing."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def offers(self, principal: Principal) -> tuple[ModelOffer, ...]:
        """The live models that this caller's key allows, by name."""
        offers = self._registry.models(principal.org_id)
        return tuple(offer for offer in offers if principal.may_use(offer.id))

    def listed(self, principal: Principal) -> dict[str, Any]:
        """The answer to `GET /v1/models`."""
        data = [_model(offer) for offer in self.offers(principal)]
        return {"object": "list", "data": data}

    def described(self, principal: Principal, model: str) -> dict[str, Any] | None:
        """The answer to `GET /v1/models/{id}`; None: not there for this caller."""
        found = (offer for offer in self.offers(principal) if offer.id == model)
        offer = next(found, None)
        return None if offer is None else _model(offer)

    def near(self, principal: Principal, model: str) -> tuple[str, ...]:
        """Models of this caller whose names are like `model`, nearest first, at most three."""
        return near_matches(model, [offer.id for offer in self.offers(principal)])


def _model(offer: ModelOffer) -> dict[str, Any]:
    """In OpenAI's shape; an adapter names its base as servers of adapters do."""
    lies_over = {} if offer.base is None else {"root": offer.base, "parent": offer.base}
    return {
        "id": offer.id,
        "object": "model",
        "created": offer.created_at,
        "owned_by": "byoi",
        "context_length": offer.context_tokens,
        "features": list(offer.features),
        **lies_over,
    }
