"""What happens on the node, as it happens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict

from byoi_agent.control.routing import Asked, Refusal, Refuses, Route, Routes

if TYPE_CHECKING:
    from aiohttp import web

    from byoi_agent.control.events import Events

KINDS: Final = ("status", "log", "pull")


class EventsQuery(BaseModel):
    """Which kinds of events, with commas between them; without, `status` and `pull`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kinds: str = "status,pull"


def add(routes: Routes, service: Events) -> None:
    """One route: a stream that ends with its reader, or with the node."""

    async def events(asked: Asked[EventsQuery]) -> web.StreamResponse:
        wanted = {kind.strip() for kind in asked.what.kinds.split(",")}
        if not wanted <= set(KINDS):
            raise Refusal(400, f"kinds are of {', '.join(KINDS)}, with commas between them")
        return await service.stream(asked.request, wanted)

    routes.add(
        Route(
            "GET",
            "/api/events",
            events,
            "What happens: server-sent events `status` (at most one a second), `log` and `pull`.",
            EventsQuery,
            media="text/event-stream",
            expects=f"kinds are of {', '.join(KINDS)}, with commas between them",
            refuses=(Refuses(400, "a kind is none"), Refuses(503, "too many listen")),
        )
    )
