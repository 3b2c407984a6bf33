"""The control API's own description."""

from __future__ import annotations

import json

from aiohttp import web

from byoi_agent.control.openapi import describe
from byoi_agent.control.routing import Asked, Nothing, Route, Routes


def add(routes: Routes) -> None:
    """One route, which describes all of them, itself too."""

    async def openapi(_asked: Asked[Nothing]) -> web.Response:
        return web.json_response(text=json.dumps(describe(routes)))

    routes.add(
        Route(
            "GET",
            "/api/openapi.json",
            openapi,
            "This API as an OpenAPI 3.1 document, read off the same table that serves it.",
            Nothing,
        )
    )
