"""The API as one Starlette application; the gateway's front serves it beside `/v1`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.applications import Starlette

from byoi_console.api.devices import DeviceRoutes
from byoi_console.api.enrolment import EnrolmentRoutes
from byoi_console.api.errors import HANDLERS
from byoi_console.api.health import HealthRoutes
from byoi_console.api.keys import KeyRoutes
from byoi_console.api.metrics import MetricsRoutes
from byoi_console.api.nodes import NodeRoutes
from byoi_console.api.usage import UsageRoutes

if TYPE_CHECKING:
    from byoi_console.api.services import Services

ROOMS: Final = (
    KeyRoutes,
    EnrolmentRoutes,
    DeviceRoutes,
    NodeRoutes,
    UsageRoutes,
    HealthRoutes,
    MetricsRoutes,
)
"""Whatever has routes, in the order in which they are looked through."""


def build_api(services: Services) -> Starlette:
    """Every route that is not the gateway's own; it has no lifespan and no state."""
    routes = [route for room in ROOMS for route in room(services).routes]
    return Starlette(routes=routes, exception_handlers=HANDLERS)
