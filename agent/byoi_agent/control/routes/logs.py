"""The node's own log."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from byoi_agent.control.log_words import LOG, Level, LogLines
from byoi_agent.control.routing import Asked, Refuses, Route, Routes

if TYPE_CHECKING:
    from aiohttp import web

    from byoi_agent.control.log_desk import LogDesk


class LogQuery(BaseModel):
    """How many of the last lines, from which level on, and whether those that follow come too."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    level: Level = "info"
    lines: int = Field(default=200, ge=0, le=2000)
    follow: bool = False


def add(routes: Routes, service: LogDesk) -> None:
    """One route, which ends at once or goes on."""

    async def logs(asked: Asked[LogQuery]) -> LogLines | web.StreamResponse:
        what = asked.what
        if not what.follow:
            return service.last(what.lines, what.level)
        return await service.events.stream(
            asked.request,
            {LOG},
            first=service.events_of(what.lines, what.level),
            least_level=logging.getLevelNamesMapping()[what.level.upper()],
        )

    routes.add(
        Route(
            "GET",
            "/api/logs",
            logs,
            "The log's last lines; with `follow`, as server-sent events `log` that go on.",
            LogQuery,
            LogLines,
            expects=(
                "level is debug, info, warning or error, lines a number from 0 to 2000, and "
                "follow true or false"
            ),
            refuses=(Refuses(503, "too many listen"),),
        )
    )
