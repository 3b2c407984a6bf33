"""The list of nodes, live, and the stream of events that keeps it and each node's page so."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, NamedTuple

from starlette.responses import Response
from starlette.routing import Route

from byoi_console.pages.event_stream import COMMENT, EventStream, event
from byoi_console.pages.guard import render, signed_in
from byoi_console.pages.rendering import environment

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from byoi_console.pages.guard import SignedIn
    from byoi_console.pages.node_views import NodeView
    from byoi_console.pages.services import PageServices
    from byoi_wire.ids import NodeId

HEARTBEAT_SECONDS: Final = 15.0
ROWS_KEPT: Final = 20_000
_TRY_AGAIN_SECONDS: Final = "10"
_NOTICES: Final = {
    "deleted": "The node is deleted. What it has earned stays in the ledger.",
}


class _Drawn(NamedTuple):
    view: NodeView
    html: str


class Rows:
    """Sole owner of the rendered rows: one that looks as before is not rendered again."""

    def __init__(self) -> None:
        self._drawn: dict[NodeId, _Drawn] = {}

    def of(self, views: tuple[NodeView, ...]) -> dict[str, str]:
        """Each node's row by its element's id, in the list's order."""
        found = {f"row-{view.node_id}": self._row(view) for view in views}
        if len(self._drawn) > ROWS_KEPT:
            self._drawn.clear()  # nodes come and go; drawing those of now once more costs little
        return found

    def _row(self, view: NodeView) -> str:
        drawn = self._drawn.get(view.node_id)
        if drawn is None or drawn.view != view:
            drawn = self._drawn[view.node_id] = _Drawn(view, _macro("row", view))
        return drawn.html


class NodePages:
    """The routes of the list; each needs somebody signed in."""

    def __init__(self, services: PageServices) -> None:
        self._services = services
        self._rows = Rows()

    @property
    def routes(self) -> list[Route]:
        """For Starlette."""
        return [
            Route("/nodes", self.list, methods=["GET"]),
            Route("/nodes/events", self.events, methods=["GET"]),
        ]

    async def list(self, request: Request) -> Response:
        """Every node of the organisation as it is now."""
        who = await signed_in(request, self._services)
        return render(
            request,
            "nodes.html",
            nodes=await self._services.pictures.look(who.org_id),
            url=self._services.url,
            notice=_NOTICES.get(request.query_params.get("done", ""), ""),
        )

    async def events(self, request: Request) -> Response:
        """What changes in the list, or with `?node=` on that node's page, as it changes."""
        who = await signed_in(request, self._services)
        if not self._services.viewers.has_room(who.sign_in.id):
            return Response(status_code=503, headers={"retry-after": _TRY_AGAIN_SECONDS})
        node_id = request.query_params.get("node")

        async def tell(say: Callable[[bytes], Awaitable[None]]) -> None:
            await self._tell(say, who, node_id)

        return EventStream(tell)

    async def _tell(
        self, say: Callable[[bytes], Awaitable[None]], who: SignedIn, node_id: str | None
    ) -> None:
        shown: dict[str, str] = {}
        clock = asyncio.get_running_loop().time
        async with self._services.viewers.viewer(who.org_id, who.sign_in.id) as viewer:
            said_at = clock()
            while not viewer.is_over:
                parts = self._parts(viewer.picture, node_id)
                if parts is None:
                    await say(event("over", {}))
                    return
                news = _difference(shown, parts, is_list=node_id is None)
                if news is not None or clock() - said_at >= HEARTBEAT_SECONDS:
                    await say(COMMENT if news is None else news)
                    said_at = clock()
                shown = parts
                await viewer.news(max(0.0, said_at + HEARTBEAT_SECONDS - clock()))
            if viewer.is_stranger:
                await say(event("over", {}))

    def _parts(self, views: tuple[NodeView, ...], node_id: str | None) -> dict[str, str] | None:
        """The page's live parts by their element's id; None: the node is there no more."""
        if node_id is None:
            return self._rows.of(views)
        found = next((view for view in views if view.node_id == node_id), None)
        return None if found is None else {"now": _macro("now", found)}


def _difference(before: dict[str, str], now: dict[str, str], *, is_list: bool) -> bytes | None:
    """The event that turns the page from one into the other; None: they look the same."""
    changed = {name: html for name, html in now.items() if before.get(name) != html}
    if not changed and list(before) == list(now):
        return None
    return event("parts", {"parts": changed, "order": list(now) if is_list else None})


def _macro(name: str, view: NodeView) -> str:
    module = environment().get_template("node_parts.html").module
    return str(getattr(module, name)(view)).strip()
