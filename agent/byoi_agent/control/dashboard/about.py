"""What this node is, and what it runs on."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Final

from byoi_agent.control.dashboard.page import page
from byoi_wire.version import PROTOCOL_VERSION

if TYPE_CHECKING:
    from aiohttp import web

    from byoi_agent.control.dashboard.page import Desk

PATH: Final = "/about"


class AboutPage:
    """The page."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def add(self, app: web.Application) -> None:
        """Its route."""
        app.router.add_get(PATH, self.show)

    async def show(self, request: web.Request) -> web.Response:
        """The page."""
        frame = await self._desk.frame(request, PATH)
        return page(
            "about.html", frame, protocol=PROTOCOL_VERSION, python=platform.python_version()
        )
