"""Which version runs."""

from __future__ import annotations

from byoi_agent.control.routing import Asked, Nothing, Route, Routes
from byoi_agent.control.schema import VersionReport


def add(routes: Routes, service: VersionReport) -> None:
    """One route."""

    async def version(_asked: Asked[Nothing]) -> VersionReport:
        return service

    routes.add(Route("GET", "/api/version", version, "Which version runs.", Nothing, VersionReport))
