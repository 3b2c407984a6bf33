"""A browser's way in: a link that works once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from byoi_agent.control.peer import DASHBOARD
from byoi_agent.control.routing import Asked, Nothing, Refusal, Refuses, Route, Routes
from byoi_agent.control.schema import DashboardLink
from byoi_agent.control.sessions import CODE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable


def add(routes: Routes, service: Callable[[], str]) -> None:
    """One route: another link."""

    async def open_it(asked: Asked[Nothing]) -> DashboardLink:
        if asked.actor == DASHBOARD:  # a session that was stolen must not outlive its end
            raise Refusal(403, "a browser lets no other in; use: byoi dashboard")
        return DashboardLink(url=service(), valid_seconds=CODE_SECONDS)

    routes.add(
        Route(
            "POST",
            "/api/dashboard/open",
            open_it,
            "Make a link that opens the dashboard in one browser, once and within a minute.",
            Nothing,
            DashboardLink,
            refuses=(Refuses(403, "a browser's session asks"),),
        )
    )
