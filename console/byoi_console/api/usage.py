"""`/api/usage`: what was used, in sums and in single rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from byoi_console.api.requests import number_of, principal_of
from byoi_console.errors import Forbidden
from byoi_console.ledger.usage import UsageFilter, instant_ms

if TYPE_CHECKING:
    from starlette.requests import Request

    from byoi_console.api.services import Services

_PAGE_LIMIT = 1000


class UsageRoutes:
    """The routes; an inference key sees its own usage, an admin the organisation's."""

    def __init__(self, services: Services) -> None:
        self._services = services

    @property
    def routes(self) -> list[Route]:
        """For Starlette."""
        return [
            Route("/api/usage", self.report, methods=["GET"]),
            Route("/api/usage/requests", self.requests, methods=["GET"]),
        ]

    async def report(self, request: Request) -> Response:
        """Requests and tokens by day, model, node, key and outcome, with their totals."""
        wanted = await self._filter(request)
        await self._services.caught_up()
        report = await self._services.usage.report(wanted)
        return JSONResponse({"rows": report.rows, "totals": report.totals})

    async def requests(self, request: Request) -> Response:
        """Single rows, newest first; `next` is the `after` of the following page."""
        wanted = await self._filter(request)
        limit = number_of(request, "limit", 100, _PAGE_LIMIT)
        after = request.query_params.get("after")
        await self._services.caught_up()
        rows, following = await self._services.usage.requests(wanted, limit, after)
        return JSONResponse({"rows": rows, "next": following})

    async def _filter(self, request: Request) -> UsageFilter:
        principal = await principal_of(request, self._services)
        query = request.query_params
        key_id = query.get("key")
        if not principal.is_admin:
            if key_id not in {None, principal.key_id}:
                raise Forbidden("This key may only see its own usage.")
            key_id = principal.key_id
        first, last = query.get("from"), query.get("to")
        return UsageFilter(
            org_id=principal.org_id,
            from_ms=instant_ms(first, "from") if first else None,
            to_ms=instant_ms(last, "to", is_end=True) if last else None,
            node_id=query.get("node"),
            api_key_id=key_id,
            model=query.get("model"),
        )
