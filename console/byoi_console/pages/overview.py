"""The first page: how the organisation's nodes do, and what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

from byoi_console.pages.guard import render, signed_in

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from byoi_console.pages.services import PageServices


class OverviewPages:
    """The routes; each needs somebody signed in."""

    def __init__(self, services: PageServices) -> None:
        self._services = services

    @property
    def routes(self) -> list[Route]:
        """For Starlette."""
        return [Route("/", self.show, methods=["GET"])]

    async def show(self, request: Request) -> Response:
        """The page."""
        await signed_in(request, self._services)
        return render(request, "overview.html")
