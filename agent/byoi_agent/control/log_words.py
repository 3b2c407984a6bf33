"""What the control API says of the log, as models."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from byoi_agent.telemetry.recent import MOST_LINES

LOG: Final = "log"
Level = Literal["debug", "info", "warning", "error"]


class LogLine(BaseModel):
    """One line; what was told beside the event stands in fields of its own."""

    model_config = ConfigDict(frozen=True, extra="allow")

    time: str
    level: str
    logger: str
    event: str


class LogLines(BaseModel):
    """The last lines, oldest first; `most` is how many are kept at all."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    lines: tuple[LogLine, ...] = ()
    most: int = MOST_LINES
