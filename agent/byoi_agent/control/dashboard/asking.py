"""Asks what the control API can be asked, in the process: pages do nothing that it cannot."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from byoi_agent.control.actor import actor_of
from byoi_agent.control.routing import Asked
from byoi_agent.control.schema import StatusReport
from byoi_agent.errors import AgentError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web

    from byoi_agent.control.routing import Route, Routes

logger = logging.getLogger(__name__)

_CHANGES = frozenset({"POST", "PUT", "DELETE"})


class Unusable(AgentError):
    """What a form sent is not what the API takes; the person corrects it."""


class Api:
    """The table of routes, asked by method and path as a program would ask it."""

    def __init__(self, routes: Routes) -> None:
        self._routes: dict[tuple[str, str], Route[Any]] = {
            (route.method, route.path): route for route in routes
        }

    def has(self, method: str, path: str) -> bool:
        """Whether this node can be asked that."""
        return (method, path) in self._routes

    async def status(self, request: web.Request) -> StatusReport:
        """How the node is. Raises as `ask`."""
        found = await self.ask(request, "GET", "/api/status")
        assert isinstance(found, StatusReport)
        return found

    async def ask(
        self,
        request: web.Request,
        method: str,
        path: str,
        what: Mapping[str, object] | None = None,
        names: Mapping[str, str] | None = None,
    ) -> Any:  # noqa: ANN401 each route answers with a model of its own
        """One question, in the name of whoever sent `request`; `path` is the route's pattern.

        Raises:
            Unusable: `what` is not what the route takes.
            AgentError: the node refused; the message says why.
        """
        route = self._routes[method, path]
        asked = Asked(actor_of(request), _taken(route, what or {}), names or {}, request)
        try:
            return await route.handler(asked)
        finally:
            if method in _CHANGES:
                logger.info(
                    "control request",
                    extra={"actor": asked.actor, "method": method, "path": path},
                )


def _taken(route: Route[Any], what: Mapping[str, object]) -> BaseModel:
    try:
        found: BaseModel = route.takes.model_validate(what)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
        told = route.expects or fault["msg"].removeprefix("Value error, ")
        raise Unusable(told) from error
    return found
