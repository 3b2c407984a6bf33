"""The hours of the week: which there are, and how the owner adds and removes some."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from byoi_agent.control.dashboard.page import back_to, changed, is_by_script, page
from byoi_agent.control.dashboard.rendering import part
from byoi_agent.control.dashboard.week import DAY_NAMES, in_words, week_of
from byoi_agent.errors import AgentError

if TYPE_CHECKING:
    from aiohttp import web
    from multidict import MultiDictProxy

    from byoi_agent.control.dashboard.page import Desk
    from byoi_agent.control.schedule import ScheduleStatus

    Form = MultiDictProxy[str | bytes | bytearray | web.FileField]

PATH: Final = "/schedule"
_KINDS: Final = ("windows", "quiet")
_GONE: Final = "These hours have changed in the meantime; the list below is as it is now."
_NOT_TYPED: Final = {
    "kind": "windows",
    "days": tuple(DAY_NAMES),
    "since": "22:00",
    "until": "07:00",
}


class SchedulePage:
    """The page and its two forms; forecasts are of the settings' file, and shown only."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def add(self, app: web.Application) -> None:
        """Its routes."""
        app.router.add_get(PATH, self.show)
        app.router.add_post(f"{PATH}/add", self.more)
        app.router.add_post(f"{PATH}/remove", self.less)

    async def show(self, request: web.Request) -> web.Response:
        """The page."""
        return await self._page(request)

    async def more(self, request: web.Request) -> web.Response:
        """Other hours beside those that are set."""
        form = await request.post()
        kind = _kind_of(form)
        wanted = {
            "days": [str(day) for day in form.getall("days", [])],
            "since": str(form.get("since", "")),
            "until": str(form.get("until", "")),
        }
        problem = "" if wanted["days"] else "Choose at least one day."
        if not problem:
            before = (await self._read(request)).model_dump()
            hours = [*before[kind], wanted]
            problem = await self._put(request, {**before, kind: hours})
        return await self._answer(request, problem, {**wanted, "kind": kind})

    async def less(self, request: web.Request) -> web.Response:
        """Without these hours; they are named by what they say, for another may have been here."""
        form = await request.post()
        kind = _kind_of(form)
        before = await self._read(request)
        told = [in_words(window) for window in getattr(before, kind)]
        what = str(form.get("what", ""))
        if what not in told:
            return await self._answer(request, _GONE)
        hours = list(getattr(before, kind))
        del hours[told.index(what)]
        whole = {**before.model_dump(), kind: [one.model_dump() for one in hours]}
        return await self._answer(request, await self._put(request, whole))

    async def _read(self, request: web.Request) -> ScheduleStatus:
        found: ScheduleStatus = await self._desk.api.ask(request, "GET", "/api/schedule")
        return found

    async def _put(self, request: web.Request, whole: dict[str, Any]) -> str:
        try:
            await self._desk.api.ask(request, "PUT", "/api/schedule", whole)
        except AgentError as error:
            return str(error)
        return ""

    async def _answer(
        self, request: web.Request, problem: str, typed: dict[str, Any] | None = None
    ) -> web.Response:
        if is_by_script(request):
            frame = await self._desk.frame(request, PATH)
            values = await self._values(request)
            html = part("schedule_parts.html", "schedule_part", frame, *values)
            return changed(html, frame, problem=problem)
        if problem:
            return await self._page(request, problem, typed)
        return back_to(PATH)

    async def _page(
        self, request: web.Request, problem: str = "", typed: dict[str, Any] | None = None
    ) -> web.Response:
        frame = await self._desk.frame(request, PATH)
        week, windows, quiet, now, told = await self._values(request)
        return page(
            "schedule.html",
            frame,
            status=400 if problem else 200,
            week=week,
            windows=windows,
            quiet=quiet,
            now=now,
            told_now=told,
            days=DAY_NAMES,
            typed=typed or _NOT_TYPED,
            problem=problem,
        )

    async def _values(self, request: web.Request) -> tuple[Any, ...]:
        """What the part of the page with the week shows, in its order."""
        found = await self._read(request)
        today = datetime.fromtimestamp(self._desk.wall()).weekday()  # noqa: DTZ006 the wall's day
        return (
            week_of(found.windows, found.quiet, today),
            [in_words(window) for window in found.windows],
            [in_words(window) for window in found.quiet],
            found.now,
            _now(found),
        )


def _kind_of(form: Form) -> str:
    kind = str(form.get("kind", ""))
    return kind if kind in _KINDS else _KINDS[0]


def _now(found: ScheduleStatus) -> tuple[str, ...]:
    """What holds now, beside the picture: sentences."""
    told = ["These are quiet hours."] if found.now.is_quiet else []
    if found.windows:
        told.append("The hours hold now." if found.now.is_open else "The hours do not hold now.")
    return (*told, *(one.reason for one in found.now.forecasts))
