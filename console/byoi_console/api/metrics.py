"""`/metrics`: what Prometheus scrapes, for an admin's API key or, where so set, for everybody."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import Route

from byoi_console.api.requests import admin_of

if TYPE_CHECKING:
    from starlette.requests import Request

    from byoi_console.api.services import Services


class MetricsRoutes:
    """The route."""

    def __init__(self, services: Services) -> None:
        self._services = services

    @property
    def routes(self) -> list[Route]:
        """For Starlette."""
        return [Route("/metrics", self.scrape, methods=["GET"])]

    async def scrape(self, request: Request) -> Response:
        """Counts since the start and facts of now, in Prometheus's or OpenMetrics' text."""
        if not self._services.metrics_are_public:
            await admin_of(request, self._services)
        body, content_type = await self._services.metrics(request.headers.get("accept"))
        return Response(body, headers={"content-type": content_type, "cache-control": "no-store"})
