"""How a route of the control API is declared: once, for serving it and for describing it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError

from byoi_agent.control.actor import actor_of
from byoi_agent.errors import AgentError

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger(__name__)

Method = Literal["GET", "PUT", "POST", "DELETE"]
_READS_ONLY: Final = "GET"


class Nothing(BaseModel):
    """What a route takes that needs nothing to be said, and what one answers that says nothing."""

    model_config = ConfigDict(frozen=True, extra="ignore")


Taken = TypeVar("Taken", bound=BaseModel)


@dataclass(frozen=True)
class Asked(Generic[Taken]):
    """One request: who asks, what of (the names in the path), and what was sent along.

    `what` comes from the query of a GET or DELETE, else from the body. `request` is for answers
    that are no plain JSON.
    """

    actor: str
    what: Taken
    names: Mapping[str, str]
    request: web.Request


Handler = Callable[[Asked[Taken]], Awaitable[BaseModel | web.StreamResponse | None]]


class Refusal(AgentError):
    """A handler's own no: with the status that its route declares."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Refuses:
    """A status that a route may refuse with, when, and the error that means it.

    Without `error` the handler raises `Refusal` with the status.
    """

    status: int
    when: str
    error: type[AgentError] | None = None


@dataclass(frozen=True)
class Route(Generic[Taken]):
    """One thing that can be asked.

    `summary` is a sentence for the reference. `expects` tells who sent something else what is
    meant. A change is logged with its actor, unless `is_logged` is False: for what comes every
    few seconds.
    """

    method: Method
    path: str
    handler: Handler[Taken]
    summary: str
    takes: type[Taken]
    answers: type[BaseModel] = Nothing
    status: int = 200
    media: str = "application/json"
    expects: str | None = None
    refuses: tuple[Refuses, ...] = ()
    is_logged: bool = True


class Routes:
    """Sole owner of the table of what one node can be asked."""

    def __init__(self) -> None:
        self._routes: list[Route[Any]] = []  # each takes a model of its own

    def __iter__(self) -> Iterator[Route[Any]]:
        return iter(self._routes)

    def add(self, route: Route[Any]) -> None:
        """One more; a path is asked with each method by one route only."""
        self._routes.append(route)

    def serve(self, app: web.Application) -> None:
        """Have an application answer them all."""
        for route in self._routes:
            app.router.add_route(route.method, route.path, partial(_answer, route))


async def _answer(route: Route[Any], request: web.Request) -> web.StreamResponse:
    asked = Asked(actor_of(request), await _taken(route, request), request.match_info, request)
    try:
        answer = await route.handler(asked)
    except AgentError as error:
        if (status := _status_of(route, error)) is None:
            raise
        _log(route, asked, status)
        return refused(status, str(error))
    _log(route, asked, route.status)
    if isinstance(answer, web.StreamResponse):
        return answer
    text = "{}" if answer is None else answer.model_dump_json()
    return web.Response(status=route.status, text=text, content_type="application/json")


async def _taken(route: Route[Any], request: web.Request) -> BaseModel:
    try:
        if route.takes is Nothing:
            return Nothing()
        if route.method in {"GET", "DELETE"}:
            return route.takes.model_validate(dict(request.query))  # type: ignore[no-any-return]
        return route.takes.model_validate_json(await request.read() or b"{}")  # type: ignore[no-any-return]
    except ValidationError as error:
        raise web.HTTPBadRequest(reason=route.expects or _first_fault(error)) from error


def _first_fault(error: ValidationError) -> str:
    fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(str(part) for part in fault["loc"])
    return " ".join(f"{place}: {fault['msg']}".removeprefix(": ").split())


def _status_of(route: Route[Any], error: AgentError) -> int | None:
    if isinstance(error, Refusal):
        return error.status
    for refuses in route.refuses:
        if refuses.error is not None and isinstance(error, refuses.error):
            return refuses.status
    return None


def _log(route: Route[Any], asked: Asked[Any], status: int) -> None:
    if route.method != _READS_ONLY and route.is_logged:
        logger.info(
            "control request",
            extra={
                "actor": asked.actor,
                "method": route.method,
                "path": asked.request.path,
                "status": status,
            },
        )


def refused(status: int, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """The one form of every refusal and every fault."""
    return web.json_response({"error": {"message": message}}, status=status, headers=headers)
