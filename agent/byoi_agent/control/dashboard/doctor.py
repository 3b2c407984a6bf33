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
        app.router.add_post(f"{PATH}/fix", self.fix)

    async def show(self, request: web.Request) -> web.Response:
        """The page without its findings, which a script fetches, or a link does."""
        frame = await self._desk.frame(request, PATH)
        return page("doctor.html", frame, report=None, can_fix=False)

    async def look(self, request: web.Request) -> web.Response:
        """All checks, now."""
        return await self._tell(request, "GET", "/api/doctor")

    async def fix(self, request: web.Request) -> web.Response:
        """What loses nothing is mended, and all is looked at again."""
        return await self._tell(request, "POST", "/api/doctor/fix")

    async def _tell(self, request: web.Request, method: str, path: str) -> web.Response:
        problem, report = "", None
        try:
            report = await self._desk.api.ask(request, method, path)
        except AgentError as error:
            problem = str(error)
        frame = await self._desk.frame(request, PATH)
        can_fix = self._desk.api.has("POST", "/api/doctor/fix")
        if is_by_script(request):
            html = part("doctor_parts.html", "findings", frame, report, can_fix)
            return changed(html, frame, problem=problem)
        return page("doctor.html", frame, report=report, can_fix=can_fix, problem=problem)
