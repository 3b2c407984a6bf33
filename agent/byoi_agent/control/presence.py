"""What the helper in a person's session tells the node, and for whom it may speak."""

from __future__ import annotations

import re
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from byoi_agent.availability.readings import SessionReading
from byoi_agent.availability.sensors.face import LONGEST_IDLE_SECONDS, words
from byoi_agent.control.peer import TOKEN

_BY_SOCKET: Final = re.compile(r"(uid \d+)(?: \((.+)\))?")
_Short = Field(default=None, max_length=200)


class SessionReport(BaseModel):
    """One session as its helper sees it; `session` tells several of one person apart.

    `user` counts only where the token is shown: on the socket the system names who speaks.
    `is_ended` takes the session back.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    user: str | None = _Short
    session: str = Field(default="", max_length=100)
    idle_seconds: float | None = Field(default=None, ge=0, le=LONGEST_IDLE_SECONDS)
    is_locked: bool | None = None
    fullscreen: str | None = _Short
    sources: tuple[str, ...] = Field(default=(), max_length=20)
    is_ended: bool = False


class SessionHeard(BaseModel):
    """Whose session the node took it for."""

    model_config = ConfigDict(frozen=True)

    user: str


def user_of(actor: str, named: str | None) -> str | None:
    """Whose session an actor may speak of; None: nobody's.

    A web page may not: what it says would be said by whoever opened it.
    """
    if actor == TOKEN:
        return words(named)
    found = _BY_SOCKET.fullmatch(actor)
    return None if found is None else found[2] or found[1]


def reading_of(report: SessionReport, user: str) -> SessionReading:
    """A report as the watch knows readings."""
    return SessionReading(
        user,
        report.idle_seconds,
        report.is_locked,
        words(report.fullscreen),
        tuple(source for source in map(words, report.sources) if source),
    )
