"""Whether this process lives and can serve, for load balancers."""

from __future__ import annotations

from email.utils import formatdate
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

if TYPE_CHECKING:
    from starlette.requests import Request

    from byoi_console.api.services import Services


class HealthRoutes:
    """The routes; anybody may ask."""

    def __init__(self, services: Services) -> None:
        self._services = services

    @property
    def routes(self) -> list[Route]:
        """For Starlette."""
        return [
            Route("/healthz", self.alive, methods=["GET"]),
            Route("/readyz", self.ready, methods=["GET"]),
        ]

    async def alive(self, _request: Request) -> Response:
        """The process answers."""
        return JSONResponse({"status": "ok"}, headers=_now())

    async def ready(self, _request: Request) -> Response:
        """New requests can be served and booked here."""
        reason = await self._services.why_not_ready()
        if reason is None:
            return JSONResponse({"status": "ready"}, headers=_now())
        return JSONResponse({"status": "not ready", "reason": reason}, 503)


def _now() -> dict[str, str]:
    """Our clock, for a node to compare its own with."""
    return {"date": formatdate(usegmt=True)}
