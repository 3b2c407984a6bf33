"""The pages as one Starlette application; the process serves it beside the API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.middleware import Middleware

from byoi_console.pages.account import AccountPages
from byoi_console.pages.devices import DevicePages
from byoi_console.pages.errors import HANDLERS
from byoi_console.pages.headers import SecurityHeaders
from byoi_console.pages.join_tokens import JoinTokenPages
from byoi_console.pages.keys import KeyPages
from byoi_console.pages.node_page import NodePage
from byoi_console.pages.nodes import NodePages
from byoi_console.pages.overview import OverviewPages
from byoi_console.pages.people import PeoplePages
from byoi_console.pages.set_up import SetUpPages
from byoi_console.pages.sign_in import SignInPages
from byoi_console.pages.static import static_routes
from byoi_console.pages.usage import UsagePages

if TYPE_CHECKING:
    from byoi_console.pages.services import PageServices


def build_pages(services: PageServices) -> Starlette:
    """Every page; it has no lifespan and no state but the address that it is reached at."""
    rooms = (
        SignInPages,
        SetUpPages,
        OverviewPages,
        NodePages,
        NodePage,
        DevicePages,
        KeyPages,
        JoinTokenPages,
        UsagePages,
        AccountPages,
        PeoplePages,
    )
    routes = [route for room in rooms for route in room(services).routes]
    app = Starlette(
        routes=[*routes, *static_routes()],
        exception_handlers=HANDLERS,
        middleware=[Middleware(SecurityHeaders)],
    )
    app.state.url = services.url
    return app
