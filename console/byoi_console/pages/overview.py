"""The first page: how the organisation's nodes do, what was asked today, and what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

from byoi_console.ledger.usage import UsageFilter
from byoi_console.pages.charts import NARROW
from byoi_console.pages.guard import render, signed_in
from byoi_console.pages.spans import span_of, today
from byoi_console.pages.usage import tokens_by_day, total_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from byoi_console.ledger.usage import UsageSum
    from byoi_console.pages.services import PageServices
    from byoi_console.pages.spans import Span
    from byoi_wire.ids import OrgId


class OverviewPages:
    """The routes; each needs somebody signed in."""

    def __init__(self, services: PageServices) -> None:
        self._services = services

    @property
    def routes(self) -> list[Route]:
        """For Starlette."""
        return [Route("/", self.show, methods=["GET"])]

    async def show(self, request: Request) -> Response:
        """The organisation at a glance."""
        services = self._services
        who = await signed_in(request, services)
        week = span_of({}, services.now_ms())
        sums = await self._by_day(who.org_id, week)
        now = today(services.now_ms()).days[0]
        nodes = await services.pictures.look(who.org_id)
        models = services.registry.models(who.org_id)
        return render(
            request,
            "overview.html",
            url=services.url,
            nodes=nodes,
            online=[node for node in nodes if node.state == "online"],
            lost=[node for node in nodes if node.state in {"reconnecting", "unknown"}],
            resting=[node for node in nodes if node.is_resting],
            models=models,
            has_key=await services.keys.count(who.org_id) > 0,
            today=total_of([each for each in sums if each.value == now]),
            week=total_of(sums),
            chart=tokens_by_day(week, sums, NARROW),
            example_model=models[0].id if models else "MODEL",
        )

    async def _by_day(self, org_id: OrgId, span: Span) -> Sequence[UsageSum]:
        await self._services.caught_up()
        wanted = UsageFilter(org_id=org_id, from_ms=span.from_ms, to_ms=span.to_ms)
        return await self._services.usage.sums(wanted, "day")
