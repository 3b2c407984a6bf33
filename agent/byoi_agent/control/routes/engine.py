"""What the owner may have the engine do; what comes of it is told by the status."""

from __future__ import annotations

from typing import Final, Protocol

from byoi_agent.control.routing import Asked, Refuses, Route, Routes
from byoi_agent.control.schema import EngineOrder
from byoi_agent.errors import ConfigError

_EXPECTS: Final = "within_seconds is a number from 0 to 3600, and model a name"
_UNKNOWN: Final = (Refuses(404, "no engine here has the model", ConfigError),)


class EngineOrders(Protocol):
    """Whoever holds the engines."""

    def sleep(self, within_seconds: float, model: str | None = None) -> None: ...  # noqa: D102
    def wake(self, model: str | None = None) -> None: ...  # noqa: D102


def add(routes: Routes, service: EngineOrders) -> None:
    """Sleep and wake."""

    async def sleep(asked: Asked[EngineOrder]) -> None:
        service.sleep(asked.what.within_seconds, asked.what.model)

    async def wake(asked: Asked[EngineOrder]) -> None:
        service.wake(asked.what.model)

    routes.add(
        Route(
            "POST",
            "/api/engine/sleep",
            sleep,
            "Have a model's engine, or all, give memory back; requests under way get so long.",
            EngineOrder,
            status=202,
            expects=_EXPECTS,
            refuses=_UNKNOWN,
        )
    )
    routes.add(
        Route(
            "POST",
            "/api/engine/wake",
            wake,
            "Have a model's engine, or all, serve again.",
            EngineOrder,
            status=202,
            expects=_EXPECTS,
            refuses=_UNKNOWN,
        )
    )
