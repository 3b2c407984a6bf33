"""What every page is made with: its frame, and one way to answer a form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import web

from byoi_agent.control.dashboard.rendering import Frame, part, render
from byoi_agent.control.door import csrf_of
from byoi_agent.errors import AgentError

if TYPE_CHECKING:
    from collections.abc import Callable

    from byoi_agent.control.dashboard.asking import Api


@dataclass(frozen=True)
class Desk:
    """What the pages are made from: the API, the clock on the wall, and which pages there are."""

    api: Api
    wall: Callable[[], float]
    entries: tuple[tuple[str, str], ...] = ()

    async def frame(self, request: web.Request, path: str | None = None) -> Frame:
        """What stands around the page at `path`; raises as `Api.ask`."""
        report = await self.api.status(request)
        return Frame(path or request.path, csrf_of(request), self.entries, report)

    async def try_to(
        self,
        request: web.Request,
        method: str,
        path: str,
        what: dict[str, object] | None = None,
        **names: str,
    ) -> str:
        """Have the node do something; what it says where it refuses, else an empty text."""
        try:
            await self.api.ask(request, method, path, what, names)
        except AgentError as error:
            return str(error)
        return ""


def page(template: str, frame: Frame | None, *, status: int = 200, **values: Any) -> web.Response:  # noqa: ANN401 a template takes anything
    """A whole page."""
    text = render(template, frame=frame, **{"problem": "", "notice": "", **values})
    return web.Response(text=text, status=status, content_type="text/html")


def changed(html: str, frame: Frame, *, problem: str = "", notice: str = "") -> web.Response:
    """A part of a page, for a script that replaces it, with what there is to tell beside it."""
    told = part("parts.html", "told", problem, notice, is_beside=True)
    state = part("parts.html", "here", frame.switch, is_beside=True)
    return web.Response(text=html + told + state, content_type="text/html")


def is_by_script(request: web.Request) -> bool:
    """Whether a part is enough: a script asks."""
    return request.headers.get("HX-Request") == "true"


def back_to(path: str) -> web.Response:
    """After a form that did its work: the page again, so that reloading repeats nothing."""
    return web.Response(status=303, headers={"Location": path})
