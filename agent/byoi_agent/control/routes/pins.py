"""Which organisations want the node for themselves, and what its owner says to that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from byoi_agent.availability.pins import PinsNotKept
from byoi_agent.control.pins import PinList, pins_of
from byoi_agent.control.routing import Asked, Nothing, Refuses, Route, Routes
from byoi_agent.errors import ConfigError

if TYPE_CHECKING:
    from byoi_agent.availability.consents import Pin


class Consenting(Protocol):
    """Whoever keeps the owner's consents."""

    @property
    def pins(self) -> tuple[Pin, ...]: ...  # noqa: D102
    def consent(self, pin_id: str, actor: str) -> None: ...  # noqa: D102
    def refuse(self, pin_id: str, actor: str) -> None: ...  # noqa: D102


_REFUSES: Final = (
    Refuses(409, "there is no such pin, or it cannot be answered so", ConfigError),
    Refuses(507, "the disk does not take it, so that it does not hold", PinsNotKept),
)
_SAYS: Final = {
    "consent": "Dedicate the node to the organisation that asks.",
    "refuse": "Say no to an organisation that asks.",
    "withdraw": "Take a consent back; it holds at once.",
}


def add(routes: Routes, service: Consenting) -> None:
    """Each answers with what holds then."""

    async def show(_asked: Asked[Nothing]) -> PinList:
        return pins_of(service.pins)

    async def consent(asked: Asked[Nothing]) -> PinList:
        service.consent(asked.names["pin_id"], asked.actor)
        return pins_of(service.pins)

    async def refuse(asked: Asked[Nothing]) -> PinList:
        service.refuse(asked.names["pin_id"], asked.actor)
        return pins_of(service.pins)

    told = "Which organisations want the node for themselves, and what was answered."
    routes.add(Route("GET", "/api/pins", show, told, Nothing, PinList))
    for verb, does in (("consent", consent), ("refuse", refuse), ("withdraw", refuse)):
        path = f"/api/pins/{{pin_id}}/{verb}"
        routes.add(Route("POST", path, does, _SAYS[verb], Nothing, PinList, refuses=_REFUSES))
