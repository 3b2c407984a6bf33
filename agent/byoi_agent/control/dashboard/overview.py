"""The first page: whether the machine serves, the switch, and what it does now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from byoi_agent.control.dashboard.live import Parts
from byoi_agent.control.dashboard.page import back_to, changed, is_by_script, page
from byoi_agent.control.dashboard.pictures import MODES, PAUSES
from byoi_agent.control.dashboard.rendering import part
from byoi_agent.control.dashboard.words import until_tomorrow

if TYPE_CHECKING:
    from aiohttp import web

    from byoi_agent.control.dashboard.page import Desk
    from byoi_agent.control.dashboard.rendering import Frame

PATH: Final = "/"
_TEMPLATE: Final = "overview.html"
_PARTS: Final = "overview_parts.html"


class Overview:
    """The page, its switch and its modes."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def add(self, app: web.Application) -> None:
        """Its routes."""
        app.router.add_get(PATH, self.show)
        app.router.add_post("/switch", self.turn)
        app.router.add_post("/mode", self.choose)

    async def show(self, request: web.Request) -> web.Response:
        """The page."""
        frame = await self._desk.frame(request, PATH)
        return page(_TEMPLATE, frame, modes=MODES, pauses=PAUSES)

    async def turn(self, request: web.Request) -> web.Response:
        """On, or off for a while."""
        form = await request.post()
        if form.get("turn") == "on":
            problem = await self._desk.try_to(request, "POST", "/api/availability/resume")
        else:
            order: dict[str, object] = {
                "seconds": self._seconds(str(form.get("for", ""))),
                "finish": form.get("finish") == "yes",
            }
            problem = await self._desk.try_to(request, "POST", "/api/availability/pause", order)
        return await self._answer(request, problem)

    async def choose(self, request: web.Request) -> web.Response:
        """Another mode."""
        mode = str((await request.post()).get("mode", ""))
        order: dict[str, object] = {"mode": mode}
        problem = await self._desk.try_to(request, "POST", "/api/availability/mode", order)
        return await self._answer(request, problem)

    def _seconds(self, chosen: str) -> object:
        """How long a pause is; what is no length is the API's to refuse, and empty is for good."""
        if chosen == "tomorrow":
            return until_tomorrow(self._desk.wall())
        return float(chosen) if chosen.isdecimal() else chosen or None

    async def _answer(self, request: web.Request, problem: str) -> web.Response:
        frame = await self._desk.frame(request, PATH)
        if is_by_script(request):
            return changed(_switch(frame), frame, problem=problem)
        if problem:
            return page(_TEMPLATE, frame, status=400, modes=MODES, pauses=PAUSES, problem=problem)
        return back_to(PATH)

    async def look(self, request: web.Request) -> Parts:
        """What of the page may have changed by itself."""
        return Parts(parts(await self._desk.frame(request, PATH)))


def parts(frame: Frame) -> dict[str, str]:
    """What of the page changes by itself, by id."""
    report = frame.report
    made = {
        name: part(_PARTS, f"{name}_part", report)
        for name in ("warnings", "figures", "devices", "engines", "link")
    }
    return {"here": part("parts.html", "here", frame.switch), "switch": _switch(frame), **made}


def _switch(frame: Frame) -> str:
    return part(_PARTS, "switch_part", frame, MODES, PAUSES)
