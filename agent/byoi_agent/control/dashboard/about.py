"""What this node is, what it runs on, and newer versions of it."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Final

from byoi_agent.control.dashboard.live import Parts
from byoi_agent.control.dashboard.page import back_to, changed, is_by_script, page
from byoi_agent.control.dashboard.rendering import part
from byoi_wire.version import PROTOCOL_VERSION

if TYPE_CHECKING:
    from aiohttp import web

    from byoi_agent.control.dashboard.page import Desk
    from byoi_agent.control.schema import UpdateDesk

PATH: Final = "/about"
_PARTS: Final = "about_parts.html"
_SAYS: Final = {
    "look": "The index was asked just now.",
    "install": "It is fetched, and what is being answered ends first; then the node starts anew.",
}
"""What can be asked, and what follows of it."""


class AboutPage:
    """The page, and its buttons where this node can be asked for updates."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def add(self, app: web.Application) -> None:
        """Its routes."""
        app.router.add_get(PATH, self.show)
        app.router.add_post(PATH, self.do)

    async def show(self, request: web.Request) -> web.Response:
        """The page."""
        return await self._page(request)

    async def look(self, request: web.Request) -> Parts:
        """What of the page may have changed by itself."""
        frame, found = await self._desk.frame(request, PATH), await self._updates(request)
        here = part("parts.html", "here", frame.switch)
        return Parts({"here": here, "updates": part(_PARTS, "updates", frame, found)})

    async def do(self, request: web.Request) -> web.Response:
        """Look for a newer version, or have it installed."""
        wish = str((await request.post()).get("wish", ""))
        if wish not in _SAYS or await self._updates(request) is None:
            return await self._page(request, problem=f"{wish!r} cannot be asked of this node.")
        problem = await self._desk.try_to(request, "POST", f"/api/update/{wish}")
        if is_by_script(request):
            frame, found = await self._desk.frame(request, PATH), await self._updates(request)
            html = part(_PARTS, "updates", frame, found)
            return changed(html, frame, problem=problem, notice="" if problem else _SAYS[wish])
        return await self._page(request, problem=problem) if problem else back_to(PATH)

    async def _updates(self, request: web.Request) -> UpdateDesk | None:
        if not self._desk.api.has("GET", "/api/update"):
            return None
        found: UpdateDesk = await self._desk.api.ask(request, "GET", "/api/update")
        return found

    async def _page(self, request: web.Request, problem: str = "") -> web.Response:
        return page(
            "about.html",
            await self._desk.frame(request, PATH),
            status=400 if problem else 200,
            problem=problem,
            protocol=PROTOCOL_VERSION,
            python=platform.python_version(),
            updates=await self._updates(request),
        )
