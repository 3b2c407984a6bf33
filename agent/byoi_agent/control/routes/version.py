"""Which version runs."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from byoi_agent.control.routing import Asked, Nothing, Route, Routes


class VersionReport(BaseModel):
    """The agent's version, and that of the protocol it speaks with its console."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    agent_version: str
    protocol: str
    python: str


def add(routes: Routes, service: VersionReport) -> None:
    """One route."""

    async def version(_asked: Asked[Nothing]) -> VersionReport:
        return service

    routes.add(Route("GET", "/api/version", version, "Which version runs.", Nothing, VersionReport))
