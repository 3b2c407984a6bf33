"""What is wrong on this machine, and what to do about it: a look that the owner asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from byoi_agent.control.dashboard.page import changed, is_by_script, page
from byoi_agent.control.dashboard.rendering import part
from byoi_agent.errors import AgentError

if TYPE_CHECKING:
    from aiohttp import web

    from byoi_agent.control.dashboard.page import Desk

PATH: Final = "/doctor"


class DoctorPage:
    """The page, and the look itself: it takes seconds, so it does not hold up the page."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def add(self, app: web.Application) -> None:
        """Its routes."""
        app.router.add_get(PATH, self.show)
        app.router.add_get(f"{PATH}/look", self.look)

    async def show(self, request: web.Request) -> web.Response:
        """The page without its findings, which a script fetches, or a link does."""
        frame = await self._desk.frame(request, PATH)
        return page("doctor.html", frame, report=None)

    async def look(self, request: web.Request) -> web.Response:
        """All checks, now."""
        problem, report = "", None
        try:
            report = await self._desk.api.ask(request, "GET", "/api/doctor")
        except AgentError as error:
            problem = str(error)
        frame = await self._desk.frame(request, PATH)
        if is_by_script(request):
            return changed(part("doctor_parts.html", "findings", report), frame, problem=problem)
        return page("doctor.html", frame, report=report, problem=problem)
