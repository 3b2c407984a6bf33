"""Organisations that want the machine for themselves, and what its owner says to that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from byoi_agent.control.dashboard.live import Parts
from byoi_agent.control.dashboard.page import back_to, changed, is_by_script, page
from byoi_agent.control.dashboard.rendering import part

if TYPE_CHECKING:
    from aiohttp import web

    from byoi_agent.control.dashboard.page import Desk
    from byoi_agent.control.pins import PinList

PATH: Final = "/pins"
_PARTS: Final = "pins_parts.html"
_SAYS: Final = {
    "consent": "The machine serves that organisation alone, until you withdraw.",
    "refuse": "The organisation is told so.",
    "withdraw": "It holds at once: the machine is no longer dedicated.",
}
"""What can be said, and what follows of it."""


class PinsPage:
    """The page and its buttons."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def add(self, app: web.Application) -> None:
        """Its routes."""
        app.router.add_get(PATH, self.show)
        app.router.add_post(PATH, self.say)

    async def show(self, request: web.Request) -> web.Response:
        """The page."""
        return await self._page(request)

    async def look(self, request: web.Request) -> Parts:
        """What of the page may have changed by itself."""
        frame, found = await self._desk.frame(request, PATH), await self._all(request)
        here = part("parts.html", "here", frame.switch)
        return Parts({"here": here, "pins": part(_PARTS, "pins_part", frame, found)})

    async def say(self, request: web.Request) -> web.Response:
        """Yes, no, or no longer."""
        form = await request.post()
        says = str(form.get("says", ""))
        if says not in _SAYS:
            return await self._page(request, problem=f"{says!r} is no answer.")
        path = f"/api/pins/{{pin_id}}/{says}"
        problem = await self._desk.try_to(request, "POST", path, pin_id=str(form.get("pin", "")))
        if is_by_script(request):
            frame, found = await self._desk.frame(request, PATH), await self._all(request)
            html = part(_PARTS, "pins_part", frame, found)
            return changed(html, frame, problem=problem, notice=_SAYS[says])
        return await self._page(request, problem=problem) if problem else back_to(PATH)

    async def _all(self, request: web.Request) -> PinList:
        found: PinList = await self._desk.api.ask(request, "GET", "/api/pins")
        return found

    async def _page(self, request: web.Request, problem: str = "") -> web.Response:
        frame, found = await self._desk.frame(request, PATH), await self._all(request)
        status = 400 if problem else 200
        return page("pins.html", frame, status=status, found=found, problem=problem)
