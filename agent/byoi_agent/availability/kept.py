"""The owner's wishes, kept beyond the node's restarts: the switch, and a pause with its end."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from byoi_agent.config.files import read_private, write_private
from byoi_agent.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from byoi_agent.telemetry.health import Health

logger = logging.getLogger(__name__)

NOT_KEPT: Final = "wishes-not-kept"
UNREADABLE: Final = "wishes-unreadable"

_Mode = Literal["dedicated", "idle", "scheduled"]


class _Part(BaseModel):
    # A newer version may have written more than this one knows.
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Switch(_Part):
    """The mode that the owner switched to, and what the setting was then."""

    mode: _Mode
    setting: _Mode | None = None
    actor: str = ""


class KeptPause(_Part):
    """A pause; `since` and `until` are Unix seconds, None: until resumed."""

    since: float
    until: float | None = None
    finish: bool = False
    actor: str = ""

    def left_seconds(self, now: float) -> float | None:
        """What is left of it; never more than it had, whatever became of the clock meanwhile."""
        if self.until is None:
            return None
        return min(self.until - now, self.until - self.since)


class Wishes(_Part):
    """All that is kept."""

    switch: Switch | None = None
    pause: KeptPause | None = None


class KeptWishes:
    """Sole owner of the file, in the one process that holds the state folder's lock.

    A file that cannot be understood is set aside, and the node starts paused: whoever has paused it
    shall not find it serving because of a broken file. What the disk does not take holds until the
    process ends, and a warning says so.
    """

    def __init__(self, file: Path, health: Health, now: float) -> None:
        self._file = file
        self._health = health
        self._wishes = self._read(now)

    @property
    def wishes(self) -> Wishes:
        """What holds now."""
        return self._wishes

    def keep(self, **changes: object) -> None:
        """Replace parts of it."""
        self._wishes = self._wishes.model_copy(update=changes)
        try:
            write_private(self._file, self._wishes.model_dump_json(indent=1).encode())
        except OSError as error:
            self._health.warn(
                NOT_KEPT,
                f"the owner's switch and pause hold until the node ends; {self._file} cannot be "
                f"written: {error.strerror}",
                "make room there, and say it again: byoi pause, byoi mode",
            )
            return
        self._health.clear(NOT_KEPT)
        self._health.clear(UNREADABLE)

    def _read(self, now: float) -> Wishes:
        try:
            return Wishes.model_validate_json(read_private(self._file))
        except FileNotFoundError:
            return Wishes()
        except (ValidationError, ConfigError, OSError) as error:
            self._set_aside(error)
            return Wishes(pause=KeptPause(since=now, actor="byoi (byoi, to be safe)"))

    def _set_aside(self, error: Exception) -> None:
        aside = self._file.with_name(f"{self._file.name}.unreadable")
        logger.warning(
            "the owner's wishes cannot be read and are set aside",
            extra={"file": str(aside), "reason": str(error)[:200]},
        )
        try:
            self._file.replace(aside)
        except OSError:
            logger.warning("they cannot be set aside either", extra={"file": str(self._file)})
        self._health.warn(
            UNREADABLE,
            f"what was kept of your pause and mode in {self._file} cannot be read, so that the "
            "node starts paused",
            "to serve: byoi resume; then choose the mode again: byoi mode",
        )
