"""What a benchmark found of a model, handed over by it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from byoi_agent.control.routing import Asked, Route, Routes
from byoi_agent.control.schema import MeasuredOrder

if TYPE_CHECKING:
    from collections.abc import Callable


def add(routes: Routes, service: Callable[[MeasuredOrder], None]) -> None:
    """One route: to keep it."""

    async def keep(asked: Asked[MeasuredOrder]) -> None:
        service(asked.what)

    routes.add(
        Route(
            "POST",
            "/api/measured",
            keep,
            "Keep what a benchmark found of a model, and advertise it.",
            MeasuredOrder,
            status=202,
            expects="the body is a model and what was measured",
        )
    )
