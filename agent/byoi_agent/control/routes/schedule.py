"""The owner's schedule: what it is and says now, and another one in its place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from byoi_agent.config.availability import Schedule
from byoi_agent.control.routing import Asked, Nothing, Refuses, Route, Routes
from byoi_agent.control.schedule import ScheduleOrder, ScheduleStatus, schedule_of
from byoi_agent.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from byoi_agent.availability.schedule import ScheduleView

_FIELDS: Final = frozenset(Schedule.model_fields)


class ScheduleKeeper(Protocol):
    """Whoever follows the schedule and writes it down."""

    @property
    def view(self) -> ScheduleView: ...  # noqa: D102
    @property
    def file(self) -> Path | None: ...  # noqa: D102
    def put(self, schedule: Schedule) -> None: ...  # noqa: D102


def add(routes: Routes, service: ScheduleKeeper) -> None:
    """Each answers with what holds then."""

    async def show(_asked: Asked[Nothing]) -> ScheduleStatus:
        return schedule_of(service.view, service.file)

    async def put(asked: Asked[ScheduleOrder]) -> ScheduleStatus:
        service.put(
            Schedule.model_construct(**{name: getattr(asked.what, name) for name in _FIELDS})
        )
        return schedule_of(service.view, service.file)

    routes.add(
        Route(
            "GET",
            "/api/schedule",
            show,
            "The schedule, what it says now, and when that changes.",
            Nothing,
            ScheduleStatus,
        )
    )
    routes.add(
        Route(
            "PUT",
            "/api/schedule",
            put,
            "Another schedule in its place; it is written into the configuration file and holds "
            "at once.",
            ScheduleOrder,
            ScheduleStatus,
            refuses=(Refuses(409, "the file cannot be written, or is wrong already", ConfigError),),
        )
    )
