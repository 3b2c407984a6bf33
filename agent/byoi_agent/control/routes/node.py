"""What the node is, offers and has served."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Final, Protocol

from pydantic import BaseModel, ConfigDict, Field, field_validator

from byoi_agent.control.routing import Asked, Nothing, Refuses, Route, Routes
from byoi_agent.control.schema import StatusReport, UsageTable, usage_table
from byoi_agent.usage.report import EVERYTHING, UsageFilter
from byoi_wire.messages import Advertise

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from byoi_agent.usage.report import UsageReport


_DAY: Final = r"^\d{4}-\d{2}-\d{2}$"


class UsageQuery(BaseModel):
    """Which lines: days as `YYYY-MM-DD`, both included, and one model's only."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    since: str | None = Field(default=None, pattern=_DAY)
    until: str | None = Field(default=None, pattern=_DAY)
    model: str | None = None

    @field_validator("since", "until")
    @classmethod
    def _is_a_day(cls, day: str | None) -> str | None:
        if day is not None and day not in EVERYTHING:  # which earlier versions' programs send
            date.fromisoformat(day)
        return day


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
        Route(
            "GET",
            "/api/usage",
            usage,
            "What the node has served.",
            UsageQuery,
            UsageTable,
            expects="since and until are days like 2026-11-30, model the name of one",
            refuses=(Refuses(400, "a day is none, or something else is asked"),),
        )
    )
