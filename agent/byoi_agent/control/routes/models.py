"""Models: which are here, how they come and go, and which are served."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from byoi_agent.control.model_words import (
    LoadOrder,
    ModelList,
    PullList,
    PullOrder,
    PullStatus,
    Removed,
    ServeOrder,
    ServeReport,
    pull_of,
)
from byoi_agent.control.routing import Asked, Nothing, Refuses, Route, Routes
from byoi_agent.errors import AgentError, ConfigError
from byoi_agent.models.store import ModelInUse

if TYPE_CHECKING:
    from byoi_agent.control.models import Models

_ALL: Final = "/api/models"
_ONE: Final = f"{_ALL}/{{name}}"
_NO_ENGINE: Final = (Refuses(404, "no engine here has the model", ConfigError),)
_EXPECTS: Final = "the body may have engine, priority (0 to 100), load (start or demand), slots…"


def add(routes: Routes, service: Models) -> None:
    """All of them."""
    _add_pulls(routes, service)
    _add_what_is_here(routes, service)
    _add_memory(routes, service)
    _add_serving(routes, service)


def _add_what_is_here(routes: Routes, service: Models) -> None:
    async def show(_asked: Asked[Nothing]) -> ModelList:
        found, unfinished = await service.all()
        pulls = tuple(pull_of(view) for view in service.pulls.views)
        return ModelList(models=tuple(found), unfinished=tuple(unfinished), pulls=pulls)

    async def remove(asked: Asked[Nothing]) -> Removed:
        return await service.remove(asked.names["name"])

    for route in (
        Route("GET", _ALL, show, "Which models are here, served and loaded.", Nothing, ModelList),
        Route(
            "DELETE",
            _ONE,
            remove,
            "Remove a model from the disk; refused while it is served.",
            Nothing,
            Removed,
            refuses=(
                Refuses(404, "it is not here"),
                Refuses(409, "the settings name it, or an engine has it", ModelInUse),
            ),
        ),
    ):
        routes.add(route)


def _add_memory(routes: Routes, service: Models) -> None:
    async def load(asked: Asked[Nothing]) -> None:
        await service.load(asked.names["name"])

    async def unload(asked: Asked[LoadOrder]) -> None:
        await service.unload(asked.names["name"], asked.what.within_seconds)

    for route in (
        Route(
            "POST",
            f"{_ONE}/load",
            load,
            "Have a model's engine serve again; what comes of it is told by the status.",
            Nothing,
            status=202,
            refuses=_NO_ENGINE,
        ),
        Route(
            "POST",
            f"{_ONE}/unload",
            unload,
            "Have a model's engine give its memory back; requests under way get so long.",
            LoadOrder,
            status=202,
            expects="within_seconds is a number from 0 to 3600",
            refuses=_NO_ENGINE,
        ),
    ):
        routes.add(route)


def _add_serving(routes: Routes, service: Models) -> None:
    async def serve(asked: Asked[ServeOrder]) -> ServeReport:
        return await service.serve(asked.names["name"], asked.what)

    async def unserve(asked: Asked[Nothing]) -> ServeReport:
        return service.unserve(asked.names["name"])

    for route in (
        Route(
            "POST",
            f"{_ONE}/serve",
            serve,
            "Serve a model, now and after a restart: it is written into the configuration file.",
            ServeOrder,
            ServeReport,
            expects=_EXPECTS,
            refuses=(
                Refuses(409, "it cannot be served here, or the file not be written", AgentError),
            ),
        ),
        Route(
            "POST",
            f"{_ONE}/unserve",
            unserve,
            "Serve a model no more, now and after a restart.",
            Nothing,
            ServeReport,
            refuses=(
                Refuses(404, "the settings do not name it"),
                Refuses(409, "the file cannot be written, or what is left not served", ConfigError),
            ),
        ),
    ):
        routes.add(route)


def _add_pulls(routes: Routes, service: Models) -> None:
    async def pull(asked: Asked[PullOrder]) -> PullStatus:
        return pull_of(service.pull(asked.what))

    async def show(_asked: Asked[Nothing]) -> PullList:
        return PullList(pulls=tuple(pull_of(view) for view in service.pulls.views))

    async def cancel(asked: Asked[Nothing]) -> PullStatus:
        return pull_of(service.pulls.cancel(asked.names["id"]))

    for route in (
        Route(
            "POST",
            f"{_ALL}/pull",
            pull,
            "Begin to fetch a model from the hub; progress comes as `pull` events.",
            PullOrder,
            PullStatus,
            status=202,
            expects="the body has model, like owner/name:Q4_K_M, and may have file and pin",
            refuses=(
                Refuses(400, "that is no model of a hub"),
                Refuses(409, "too many pulls wait", ConfigError),
            ),
        ),
        Route(
            "GET",
            f"{_ALL}/pulls",
            show,
            "Pulls under way, and the last that ended.",
            Nothing,
            PullList,
        ),
        Route(
            "DELETE",
            f"{_ALL}/pulls/{{id}}",
            cancel,
            "End a pull; what came is kept, and another pull of the model goes on from there.",
            Nothing,
            PullStatus,
            refuses=(Refuses(404, "there is no such pull", ConfigError),),
        ),
    ):
        routes.add(route)
