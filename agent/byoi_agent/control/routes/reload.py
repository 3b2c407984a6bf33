"""Settings read again, without ending anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from byoi_agent.control.routing import Asked, Nothing, Refuses, Route, Routes
from byoi_agent.control.schema import ReloadReport
from byoi_agent.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable


def add(routes: Routes, service: Callable[[], ReloadReport]) -> None:
    """One route: as SIGHUP does it."""

    async def reload(_asked: Asked[Nothing]) -> ReloadReport:
        return service()

    routes.add(
        Route(
            "POST",
            "/api/reload",
            reload,
            "Have the settings read again.",
            Nothing,
            ReloadReport,
            refuses=(Refuses(409, "the settings are wrong; the old ones hold", ConfigError),),
        )
    )
