"""The node's own keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from byoi_agent.control.key_list import KeyList
from byoi_agent.control.routing import Asked, Nothing, Refuses, Route, Routes
from byoi_agent.control.schema import KeyChange
from byoi_agent.errors import IdentityError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def add_list(routes: Routes, service: Callable[[], KeyList]) -> None:
    """One route: which keys there are."""

    async def show(_asked: Asked[Nothing]) -> KeyList:
        return service()

    routes.add(
        Route(
            "GET",
            "/api/keys",
            show,
            "The present key, the next one, and those of former days.",
            Nothing,
            KeyList,
            refuses=(Refuses(409, "their record cannot be read", IdentityError),),
        )
    )


def add(routes: Routes, service: Callable[[], Awaitable[KeyChange]]) -> None:
    """One route: another key."""

    async def rotate(_asked: Asked[Nothing]) -> KeyChange:
        return await service()

    routes.add(
        Route(
            "POST",
            "/api/keys/rotate",
            rotate,
            "Change the node's key; the answer comes when it serves with the new one.",
            Nothing,
            KeyChange,
            refuses=(
                Refuses(409, "the key could not be changed; the old one holds", IdentityError),
            ),
        )
    )
