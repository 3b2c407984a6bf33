"""The log's last lines; a script has those that follow come by themselves."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from byoi_agent.control.dashboard.page import page

if TYPE_CHECKING:
    from aiohttp import web

    from byoi_agent.control.dashboard.page import Desk

PATH: Final = "/log"
LEVELS: Final = {
    "debug": "everything",
    "info": "what happens",
    "warning": "warnings and errors",
    "error": "errors only",
}
"""Each level and what it shows; the script asks for the same."""
SHOWN_LINES: Final = 400
_USUAL: Final = "info"
_NAMED: Final = frozenset({"time", "level", "logger", "event"})


class LogPage:
    """The page."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def add(self, app: web.Application) -> None:
        """Its route."""
        app.router.add_get(PATH, self.show)

    async def show(self, request: web.Request) -> web.Response:
        """The page, with what is known by now; without scripts, loading it anew shows more."""
        frame = await self._desk.frame(request, PATH)
        level = request.query.get("level", _USUAL)
        if level not in LEVELS:
            level = _USUAL
        asked = {"level": level, "lines": SHOWN_LINES}
        found = await self._desk.api.ask(request, "GET", "/api/logs", asked)
        lines = [told(line.model_dump()) for line in found.lines]
        stream = f"/api/logs?follow=true&lines={SHOWN_LINES}&level={level}"
        return page("log.html", frame, lines=lines, level=level, levels=LEVELS, stream=stream)


def told(fields: dict[str, Any]) -> dict[str, str]:
    """A line's parts: its moment, level and event, and what was told beside it."""
    beside = [f"{name}={value}" for name, value in fields.items() if name not in _NAMED]
    shown = {name: str(fields.get(name, "")) for name in _NAMED}
    when = _on_this_clock(shown["time"])
    return {**shown, "when": when, "level": shown["level"].lower(), "beside": " ".join(beside)}


def _on_this_clock(moment: str) -> str:
    """As the machine's own clock showed it; what is no moment stays as it is."""
    try:
        return f"{datetime.fromisoformat(moment).astimezone():%m-%d %H:%M:%S}"
    except ValueError:
        return moment
