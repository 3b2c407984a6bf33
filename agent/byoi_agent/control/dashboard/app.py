"""The owner's pages as the control server takes them: their routes, and how a refusal looks."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Protocol

from byoi_agent.control.dashboard import (
    about,
    doctor,
    log,
    models,
    overview,
    pins,
    schedule,
    static,
)
from byoi_agent.control.dashboard.about import AboutPage
from byoi_agent.control.dashboard.asking import Api
from byoi_agent.control.dashboard.doctor import DoctorPage
from byoi_agent.control.dashboard.live import tell
from byoi_agent.control.dashboard.log import LogPage
from byoi_agent.control.dashboard.models import ModelsPage
from byoi_agent.control.dashboard.overview import Overview
from byoi_agent.control.dashboard.page import Desk, page
from byoi_agent.control.dashboard.pins import PinsPage
from byoi_agent.control.dashboard.schedule import SchedulePage

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import web

    from byoi_agent.control.dashboard.live import Look
    from byoi_agent.control.events import Events
    from byoi_agent.control.routing import Routes

_TITLES: Final = {
    HTTPStatus.UNAUTHORIZED: "This page needs a link",
    HTTPStatus.FORBIDDEN: "That is not allowed",
    HTTPStatus.NOT_FOUND: "There is no such page",
    HTTPStatus.METHOD_NOT_ALLOWED: "That cannot be done here",
    HTTPStatus.TOO_MANY_REQUESTS: "Too many attempts",
    HTTPStatus.SERVICE_UNAVAILABLE: "The node cannot tell that now",
}
_PAGES: Final = (
    ("Overview", overview.PATH, "GET", "/api/status"),
    ("Schedule", schedule.PATH, "PUT", "/api/schedule"),
    ("Models", models.PATH, "GET", "/api/models"),
    ("Log", log.PATH, "GET", "/api/logs"),
    ("Pins", pins.PATH, "GET", "/api/pins"),
    ("Doctor", doctor.PATH, "GET", "/api/doctor"),
    ("About", about.PATH, "GET", "/api/status"),
)
"""Each page's label and path, and what the node can be asked where there is something to show."""


class Room(Protocol):
    """One page, or a few that belong together."""

    def add(self, app: web.Application) -> None:
        """Have the application answer with it."""
        ...


class Dashboard:
    """The pages of one node; what it cannot be asked has no page."""

    def __init__(self, events: Events, wall: Callable[[], float] = time.time) -> None:
        self._events = events
        self._wall = wall

    def add(self, app: web.Application, routes: Routes) -> None:
        """Have the application answer with them; whoever asks has been let in already."""
        api = Api(routes)
        entries = tuple(
            (label, path) for label, path, method, asked in _PAGES if api.has(method, asked)
        )
        desk = Desk(api, self._wall, entries)
        first, of_models, of_pins = Overview(desk), ModelsPage(desk), PinsPage(desk)
        of_node = AboutPage(desk)
        rooms: dict[str, Room] = {
            overview.PATH: first,
            schedule.PATH: SchedulePage(desk),
            models.PATH: of_models,
            log.PATH: LogPage(desk),
            pins.PATH: of_pins,
            doctor.PATH: DoctorPage(desk),
            about.PATH: of_node,
        }
        live = {
            overview.PATH: first.look,
            models.PATH: of_models.look,
            pins.PATH: of_pins.look,
            about.PATH: of_node.look,
        }
        for _, path in entries:
            rooms[path].add(app)
            if path in live:
                self._add_live(app, path, live[path])
        app.router.add_get("/static/{name}", static.serve)

    def refuse(self, status: int, message: str) -> web.Response:
        """What a person sees instead of a page."""
        title = _TITLES.get(HTTPStatus(status), "Something went wrong")
        is_session = status == HTTPStatus.UNAUTHORIZED
        return page(
            "door.html", None, status=status, title=title, message=message, is_session=is_session
        )

    def _add_live(self, app: web.Application, path: str, look: Look) -> None:
        async def live(request: web.Request) -> web.StreamResponse:
            return await tell(request, self._events, look)

        app.router.add_get(f"/live{path}", live)
