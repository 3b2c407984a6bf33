"""The models that are here: how they come, go, and are served."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from byoi_agent.control.dashboard.live import Parts
from byoi_agent.control.dashboard.page import back_to, changed, is_by_script, page
from byoi_agent.control.dashboard.rendering import part

if TYPE_CHECKING:
    from aiohttp import web

    from byoi_agent.control.dashboard.page import Desk
    from byoi_agent.control.model_words import ModelList

PATH: Final = "/models"
_PARTS: Final = "models_parts.html"
_NAMED: Final = "/api/models/{name}"
_ACTS: Final = {
    "load": "The engine is being started.",
    "unload": "The engine gives its memory back.",
    "serve": "It is served from now on, and after a restart.",
    "unserve": "It is served no more.",
}
"""What can be done with a model by a button, and what is told then."""
_GONE: Final = "It is gone from the disk."
_RANK_DIGITS: Final = 3
_RANKED: Final = "The priority holds from now on, and after a restart."


class ModelsPage:
    """The page, and what its buttons do."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def add(self, app: web.Application) -> None:
        """Its routes."""
        app.router.add_get(PATH, self.show)
        app.router.add_post(f"{PATH}/act", self.act)
        app.router.add_post(f"{PATH}/priority", self.rank)
        app.router.add_post(f"{PATH}/pull", self.pull)
        app.router.add_post(f"{PATH}/cancel", self.cancel)
        app.router.add_get(f"{PATH}/remove", self.confirm)
        app.router.add_post(f"{PATH}/remove", self.remove)

    async def show(self, request: web.Request) -> web.Response:
        """The page."""
        notice = _GONE if request.query.get("done") == "removed" else ""
        return await self._page(request, notice=notice)

    async def look(self, request: web.Request) -> Parts:
        """What of the page may have changed by itself."""
        frame, found = await self._desk.frame(request, PATH), await self._all(request)
        return Parts(
            {
                "here": part("parts.html", "here", frame.switch),
                "pulls": part(_PARTS, "pulls_part", frame, found),
                "models": part(_PARTS, "models_part", frame, found),
            }
        )

    async def act(self, request: web.Request) -> web.Response:
        """Load, unload, serve, or serve no more."""
        form = await request.post()
        act = str(form.get("act", ""))
        if act not in _ACTS:
            return await self._answer(request, "models_part", f"{act!r} is nothing to do here.")
        name = str(form.get("name", ""))
        problem = await self._desk.try_to(request, "POST", f"{_NAMED}/{act}", name=name)
        return await self._answer(request, "models_part", problem, _ACTS[act])

    async def rank(self, request: web.Request) -> web.Response:
        """Say which of several models stays loaded where memory is short."""
        form = await request.post()
        name, told = str(form.get("name", "")), str(form.get("priority", ""))
        order: dict[str, object] = {"priority": int(told) if _is_rank(told) else told}
        problem = await self._desk.try_to(request, "POST", f"{_NAMED}/serve", order, name=name)
        return await self._answer(request, "models_part", problem, _RANKED)

    async def pull(self, request: web.Request) -> web.Response:
        """Begin to fetch one."""
        form = await request.post()
        name = str(form.get("model", "")).strip()
        problem = await self._desk.try_to(request, "POST", "/api/models/pull", {"model": name})
        return await self._answer(request, "pulls_part", problem, typed=name)

    async def cancel(self, request: web.Request) -> web.Response:
        """End a pull; what came is kept."""
        form = await request.post()
        path = "/api/models/pulls/{id}"
        problem = await self._desk.try_to(request, "DELETE", path, id=str(form.get("id", "")))
        return await self._answer(request, "pulls_part", problem)

    async def confirm(self, request: web.Request) -> web.Response:
        """Ask before a model goes: to fetch it again takes long."""
        frame, found = await self._desk.frame(request, PATH), await self._all(request)
        name = request.query.get("name", "")
        model = next((one for one in found.models if one.name == name), None)
        if model is None:
            return await self._page(request, problem="That model is not here.")
        return page("models_remove.html", frame, model=model)

    async def remove(self, request: web.Request) -> web.Response:
        """Take it from the disk."""
        name = str((await request.post()).get("name", ""))
        if problem := await self._desk.try_to(request, "DELETE", _NAMED, name=name):
            return await self._page(request, problem=problem)
        return back_to(f"{PATH}?done=removed")

    async def _all(self, request: web.Request) -> ModelList:
        found: ModelList = await self._desk.api.ask(request, "GET", "/api/models")
        return found

    async def _answer(
        self, request: web.Request, macro: str, problem: str, notice: str = "", typed: str = ""
    ) -> web.Response:
        if is_by_script(request):
            frame, found = await self._desk.frame(request, PATH), await self._all(request)
            html = part(_PARTS, macro, frame, found)
            return changed(html, frame, problem=problem, notice=notice)
        if problem:
            return await self._page(request, problem=problem, typed=typed)
        return back_to(PATH)

    async def _page(self, request: web.Request, *, typed: str = "", **told: Any) -> web.Response:  # noqa: ANN401 what `page` takes
        frame, found = await self._desk.frame(request, PATH), await self._all(request)
        status = 400 if told.get("problem") else 200
        return page("models.html", frame, status=status, found=found, typed=typed, **told)


def _is_rank(text: str) -> bool:
    """Whether it is a number in figures, and no longer than any that is allowed."""
    return text.isascii() and text.isdigit() and len(text) <= _RANK_DIGITS
