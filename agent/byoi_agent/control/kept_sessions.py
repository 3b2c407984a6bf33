"""Keeps browsers' sessions while the node is started anew, so that an open page goes on."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from byoi_agent.config.files import read_private, write_private
from byoi_agent.control.sessions import KeptSession
from byoi_agent.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

logger = logging.getLogger(__name__)

AWAY_SECONDS: Final = 120.0
"""An update or a restart takes less. Meanwhile the port is anybody's: the longer, the likelier."""


class KeptSessions(BaseModel):
    """What one node leaves for the next: `port` is where its pages were, `ended_at` Unix seconds.

    Cookies are kept by their digest. Sessions are for this port alone: where another program took
    it meanwhile, browsers may have shown it their cookies.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    port: int = Field(ge=1, le=65535)
    ended_at: float
    sessions: tuple[KeptSession, ...]


class SessionKeeper:
    """Sole owner of the file: it is there only between an end in order and the next start.

    Where the node was killed or failed there is none, as nobody knows for how long the port was
    anybody's. One that cannot be read is begun anew: the owner needs another link, and nothing else
    hangs on it.
    """

    def __init__(self, file: Path, wall: Callable[[], float]) -> None:
        self._file = file
        self._wall = wall

    def take(self) -> tuple[KeptSessions, float] | None:
        """What was left, once, and how many seconds ago; None where nothing of it may go on."""
        try:
            kept = KeptSessions.model_validate_json(read_private(self._file))
            self._file.unlink()  # whatever follows: no later start may find them again
        except FileNotFoundError:
            return None
        except (ValidationError, ConfigError, OSError) as error:
            logger.warning("browsers need another link", extra={"reason": _sentence(error)})
            self.forget()
            return None
        away = self._wall() - kept.ended_at
        return (kept, away) if 0 <= away <= AWAY_SECONDS else None

    def keep(self, port: int, sessions: tuple[KeptSession, ...]) -> None:
        """The node ends; without the disk's help browsers need another link."""
        if not sessions:
            return
        kept = KeptSessions(port=port, ended_at=self._wall(), sessions=sessions)
        try:
            write_private(self._file, kept.model_dump_json().encode())
        except OSError as error:
            logger.warning("browsers need another link", extra={"reason": str(error)})

    def forget(self) -> None:
        """Take away what lies there."""
        try:
            self._file.unlink(missing_ok=True)
        except OSError as error:
            logger.warning("kept sessions not removed", extra={"reason": str(error)})


def _sentence(error: Exception) -> str:
    # pydantic's own words would show what was in the file
    return (
        "the file is not what a node writes" if isinstance(error, ValidationError) else str(error)
    )
