"""The node's figures for Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from byoi_agent.control.metrics import CONTENT_TYPE
from byoi_agent.control.routing import Asked, Nothing, Route, Routes

if TYPE_CHECKING:
    from collections.abc import Callable


def add(routes: Routes, service: Callable[[], bytes]) -> None:
    """One route."""

    async def metrics(_asked: Asked[Nothing]) -> web.Response:
        return web.Response(body=service(), headers={"Content-Type": CONTENT_TYPE})

    routes.add(
        Route("GET", "/metrics", metrics, "Figures for Prometheus.", Nothing, media="text/plain")
    )
