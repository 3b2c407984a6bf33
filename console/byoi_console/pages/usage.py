"""Usage: what was asked and answered, by day, model, node and key; and as a table to take along."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, get_args
from urllib.parse import urlencode

from starlette.responses import Response
from starlette.routing import Route

from byoi_console.errors import InputInvalid
from byoi_console.ledger.usage import Dimension, UsageFilter, UsageSum, sum_of
from byoi_console.pages.charts import WIDE, chart
from byoi_console.pages.guard import render, signed_in
from byoi_console.pages.spans import RANGES, Span, span_of
from byoi_console.pages.spreadsheet import csv_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.requests import Request

    from byoi_console.pages.charts import Chart
    from byoi_console.pages.services import PageServices
    from byoi_wire.ids import OrgId

ROWS_SHOWN: Final = 50
_FILTERS: Final = ("model", "node", "key")
_FILTER_LIMIT: Final = 256
_COLUMNS: Final = (
    "day",
    "model",
    "node_id",
    "api_key_id",
    "outcome",
    "requests",
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "total_tokens",
    "joules",
    "joules_requests",
)


class UsagePages:
    """The routes; each needs somebody signed in."""

    def __init__(self, services: PageServices) -> None:
        self._services = services

    @property
    def routes(self) -> list[Route]:
        """For Starlette."""
        return [
            Route("/usage", self.show, methods=["GET"]),
            Route("/usage.csv", self.download, methods=["GET"]),
        ]

    async def show(self, request: Request) -> Response:
        """The sums of a span of days, as a picture and in tables."""
        who = await signed_in(request, self._services)
        filters, problem = _filters(request.query_params), ""
        try:
            span = span_of(request.query_params, self._services.now_ms())
        except InputInvalid as error:
            span, problem = span_of({}, self._services.now_ms()), str(error)
        sums = await self._sums(_wanted(who.org_id, span, filters))
        return render(
            request,
            "usage.html",
            status_code=400 if problem else 200,
            span=span,
            ranges={name: label for name, (label, _) in RANGES.items()},
            filters=filters,
            filter_names=_filter_names(filters, sums),
            filter_query=urlencode(filters),
            query=urlencode({**span.query, **filters}),
            sums=sums,
            totals=total_of(sums["day"]),
            chart=tokens_by_day(span, sums["day"]),
            rows_shown=ROWS_SHOWN,
            problem=problem,
        )

    async def download(self, request: Request) -> Response:
        """Every row of the span as CSV."""
        who = await signed_in(request, self._services)
        span = span_of(request.query_params, self._services.now_ms())
        wanted = _wanted(who.org_id, span, _filters(request.query_params))
        await self._services.caught_up()
        report = await self._services.usage.report(wanted)
        body = csv_of(_COLUMNS, ([row[name] for name in _COLUMNS] for row in report.rows))
        name = f"usage-{span.first.isoformat()}-{span.last.isoformat()}.csv"
        headers = {"content-disposition": f'attachment; filename="{name}"'}
        return Response(body, media_type="text/csv; charset=utf-8", headers=headers)

    async def _sums(self, wanted: UsageFilter) -> Mapping[Dimension, Sequence[UsageSum]]:
        await self._services.caught_up()
        usage = self._services.usage
        return {by: await usage.sums(wanted, by) for by in get_args(Dimension)}


def total_of(sums: Sequence[UsageSum]) -> UsageSum:
    """All of them together."""
    return UsageSum(
        value="",
        name=None,
        requests=sum(each.requests for each in sums),
        failed=sum(each.failed for each in sums),
        prompt_tokens=sum(each.prompt_tokens for each in sums),
        completion_tokens=sum(each.completion_tokens for each in sums),
        joules=sum_of(each.joules for each in sums),
    )


def tokens_by_day(span: Span, sums: Sequence[UsageSum], width: int = WIDE) -> Chart:
    """One bar for each day, those without a request as well."""
    found = {each.value: each for each in sums}
    values = []
    for day in span.days:
        tokens, requests = 0, 0
        if day in found:
            tokens, requests = found[day].total_tokens, found[day].requests
        plural = "" if requests == 1 else "s"
        values.append((day[5:], tokens, f"{day}: {tokens:,} tokens, {requests:,} request{plural}"))
    return chart(values, width)


def _filters(query: Mapping[str, str]) -> dict[str, str]:
    return {name: query[name][:_FILTER_LIMIT] for name in _FILTERS if query.get(name)}


def _wanted(org_id: OrgId, span: Span, filters: Mapping[str, str]) -> UsageFilter:
    return UsageFilter(
        org_id=org_id,
        from_ms=span.from_ms,
        to_ms=span.to_ms,
        node_id=filters.get("node"),
        api_key_id=filters.get("key"),
        model=filters.get("model"),
    )


def _filter_names(
    filters: Mapping[str, str], sums: Mapping[Dimension, Sequence[UsageSum]]
) -> dict[str, str]:
    """What a filter is called, where its rows tell."""
    named: dict[str, Dimension] = {"node": "node_id", "key": "api_key_id"}
    names = dict(filters)
    for filter_name, by in named.items():
        found = [each.name for each in sums[by] if each.value == filters.get(filter_name)]
        if found and found[0]:
            names[filter_name] = found[0]
    return names
