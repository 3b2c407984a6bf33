"""A browser's way in: a link that works once; and the way out for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from byoi_agent.control.peer import DASHBOARD
from byoi_agent.control.routing import Asked, Nothing, Refusal, Refuses, Route, Routes
from byoi_agent.control.schema import DashboardLink, SignedOut
from byoi_agent.control.sessions import CODE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable


def add(routes: Routes, link: Callable[[], str], end_all: Callable[[], int]) -> None:
    """Two routes: another link, and no browser let in any more."""

    async def open_it(asked: Asked[Nothing]) -> DashboardLink:
        if asked.actor == DASHBOARD:  # a session that was stolen must not outlive its end
            raise Refusal(403, "a browser lets no other in; use: byoi dashboard")
        return DashboardLink(url=link(), valid_seconds=CODE_SECONDS)

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

    async def sign_out(_asked: Asked[Nothing]) -> SignedOut:
        return SignedOut(browsers=end_all())

    routes.add(
        Route(
            "POST",
            "/api/dashboard/sign-out",
            sign_out,
            "Sign every browser out of the dashboard; each needs another link.",
            Nothing,
            SignedOut,
        )
    )
