"""Newer versions of this program: which there is, and the owner's wish to have it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from byoi_agent.control.routing import Asked, Nothing, Refuses, Route, Routes
from byoi_agent.control.schema import UpdateDesk
from byoi_agent.update.asked import UpdateRefused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from byoi_agent.control.schema import StatusReport
    from byoi_agent.update.asked import Ways


class Updating(Protocol):
    """Whoever replaces this program for its owner."""

    def ways(self) -> Ways: ...  # noqa: D102
    async def look(self) -> None: ...  # noqa: D102
    async def install(self) -> None: ...  # noqa: D102


_REFUSES: Final = (
    Refuses(
        409,
        "that cannot be done from here, or not now; the message says what to type",
        UpdateRefused,
    ),
)


def add(routes: Routes, service: Updating, status: Callable[[], Awaitable[StatusReport]]) -> None:
    """Each answers with what is known then; no console is ever asked, and none can ask."""

    async def desk() -> UpdateDesk:
        report, ways = await status(), service.ways()
        return UpdateDesk(
            version=report.agent_version,
            known=report.update,
            can_look=ways.can_look,
            can_install=ways.can_install,
            instead=ways.instead,
        )

    async def show(_asked: Asked[Nothing]) -> UpdateDesk:
        return await desk()

    async def look(_asked: Asked[Nothing]) -> UpdateDesk:
        await service.look()
        return await desk()

    async def install(_asked: Asked[Nothing]) -> UpdateDesk:
        await service.install()
        return await desk()

    path, told = "/api/update", "Which version runs, which is there, and what came of updates."
    routes.add(Route("GET", path, show, told, Nothing, UpdateDesk))
    told = "Ask the signed index for a newer version, now."
    routes.add(Route("POST", f"{path}/look", look, told, Nothing, UpdateDesk, refuses=_REFUSES))
    told = "Begin with an update to the newest version of the ring; the node is started anew."
    routes.add(
        Route("POST", f"{path}/install", install, told, Nothing, UpdateDesk, 202, refuses=_REFUSES)
    )
