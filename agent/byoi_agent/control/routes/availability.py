"""The owner's switch: pause, resume, and the mode."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from byoi_agent.control.routing import Asked, Nothing, Route, Routes
from byoi_agent.control.schema import AvailabilityStatus, ModeOrder, PauseOrder, UpdateOrder
from byoi_agent.control.status import availability_of

if TYPE_CHECKING:
    from byoi_agent.availability.view import AvailabilityView, Mode

_PAUSE: Final = "seconds is a number above 0 and at most 366 days, or null; finish is true or false"
_UPDATE: Final = "version names the one that comes, or is null; seconds is at most a day"
_MODE: Final = 'mode is "dedicated", "idle", "scheduled", or null'


class Switch(Protocol):
    """Whoever decides whether the node serves."""

    @property
    def view(self) -> AvailabilityView: ...  # noqa: D102
    def pause(self, seconds: float | None, *, finish: bool, actor: str) -> None: ...  # noqa: D102
    def resume(self, actor: str) -> None: ...  # noqa: D102
    def hold_for_update(self, version: str | None, seconds: float, actor: str) -> None: ...  # noqa: D102
    def choose_mode(self, mode: Mode | None, actor: str) -> None: ...  # noqa: D102


def add(routes: Routes, service: Switch) -> None:
    """Each answers with what holds then."""
    _add_pause(routes, service)
    _add_update(routes, service)
    _add_mode(routes, service)


def _add_pause(routes: Routes, service: Switch) -> None:
    async def pause(asked: Asked[PauseOrder]) -> AvailabilityStatus:
        service.pause(asked.what.seconds, finish=asked.what.finish, actor=asked.actor)
        return availability_of(service.view)

    async def resume(asked: Asked[Nothing]) -> AvailabilityStatus:
        service.resume(asked.actor)
        return availability_of(service.view)

    routes.add(
        Route(
            "POST",
            "/api/availability/pause",
            pause,
            "Stop serving until resumed or for so long; memory comes back at once, or when what "
            "runs has ended (`finish`).",
            PauseOrder,
            AvailabilityStatus,
            expects=_PAUSE,
        )
    )
    routes.add(
        Route(
            "POST",
            "/api/availability/resume",
            resume,
            "End the pause.",
            Nothing,
            AvailabilityStatus,
        )
    )


def _add_update(routes: Routes, service: Switch) -> None:
    async def hold(asked: Asked[UpdateOrder]) -> AvailabilityStatus:
        service.hold_for_update(asked.what.version, asked.what.seconds, asked.actor)
        return availability_of(service.view)

    routes.add(
        Route(
            "POST",
            "/api/availability/update",
            hold,
            "Take nothing new until another version takes this one's place, for so long at most; "
            "null takes that back.",
            UpdateOrder,
            AvailabilityStatus,
            expects=_UPDATE,
        )
    )


def _add_mode(routes: Routes, service: Switch) -> None:
    async def choose(asked: Asked[ModeOrder]) -> AvailabilityStatus:
        service.choose_mode(asked.what.mode, asked.actor)
        return availability_of(service.view)

    routes.add(
        Route(
            "POST",
            "/api/availability/mode",
            choose,
            "Choose the mode; null takes the switch back.",
            ModeOrder,
            AvailabilityStatus,
            expects=_MODE,
        )
    )
