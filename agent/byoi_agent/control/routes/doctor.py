"""What is wrong on this machine, as the node's own account sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from byoi_agent.control.routing import Asked, Nothing, Route, Routes
from byoi_agent.doctor.finding import Report
from byoi_agent.doctor.proof import Proof

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def add(routes: Routes, service: Callable[[], Awaitable[Report]]) -> None:
    """One route; a look takes seconds, as the console and the drivers are asked."""

    async def examine(_asked: Asked[Nothing]) -> Report:
        return await service()

    routes.add(
        Route(
            "GET",
            "/api/doctor",
            examine,
            "Look at settings, folders, drivers, network, console, key, engine and node.",
            Nothing,
            Report,
        )
    )


def add_mending(routes: Routes, service: Callable[[], Awaitable[Report]]) -> None:
    """One route, which takes as long as two looks."""

    async def mend(_asked: Asked[Nothing]) -> Report:
        return await service()

    routes.add(
        Route(
            "POST",
            "/api/doctor/fix",
            mend,
            "Mend what loses nothing, as `byoi doctor --fix` does; what is found after it.",
            Nothing,
            Report,
        )
    )


def add_proof(routes: Routes, service: Callable[[], Awaitable[Proof]]) -> None:
    """One route; a token of a large model takes its time."""

    async def prove(_asked: Asked[Nothing]) -> Proof:
        return await service()

    routes.add(
        Route(
            "POST",
            "/api/prove",
            prove,
            "Have the node show that its account sees the accelerators and answers with one token.",
            Nothing,
            Proof,
        )
    )
