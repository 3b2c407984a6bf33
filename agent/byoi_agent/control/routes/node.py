"""What the node is, offers and has served."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from pydantic import BaseModel, ConfigDict

from byoi_agent.control.routing import Asked, Nothing, Route, Routes
from byoi_agent.control.schema import StatusReport, UsageTable, usage_table
from byoi_agent.usage.report import UsageFilter
from byoi_wire.messages import Advertise

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from byoi_agent.usage.report import UsageReport


class UsageQuery(BaseModel):
    """Which lines: days as `YYYY-MM-DD`, both included, and one model's only."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    since: str | None = None
    until: str | None = None
    model: str | None = None


class NodeViews(Protocol):
    """Whoever can tell of the node."""

    @property
    def status(self) -> Callable[[], Awaitable[StatusReport]]: ...  # noqa: D102
    @property
    def offer(self) -> Callable[[], Advertise]: ...  # noqa: D102
    @property
    def usage(self) -> Callable[[UsageFilter], Awaitable[UsageReport]]: ...  # noqa: D102


def add(routes: Routes, service: NodeViews) -> None:
    """What only tells."""

    async def status(_asked: Asked[Nothing]) -> StatusReport:
        return await service.status()

    async def offer(_asked: Asked[Nothing]) -> Advertise:
        return service.offer()

    async def usage(asked: Asked[UsageQuery]) -> UsageTable:
        chosen = UsageFilter(**asked.what.model_dump(exclude_none=True))
        return usage_table([await service.usage(chosen)])

    routes.add(
        Route("GET", "/api/status", status, "How the node is.", Nothing, StatusReport),
    )
    routes.add(
        Route("GET", "/api/offer", offer, "What the node tells its console.", Nothing, Advertise),
    )
    routes.add(
        Route("GET", "/api/usage", usage, "What the node has served.", UsageQuery, UsageTable),
    )
