"""Long steps before the engine starts, as lines of the log that are few enough to read."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from byoi_agent.models.wheels import Progress

logger = logging.getLogger(__name__)


class ProgressLog:
    """Long steps in the log: one line per phase and tenth of it."""

    def __init__(self) -> None:
        self._told: tuple[str, int] | None = None

    def __call__(self, progress: Progress) -> None:
        """How far it is now."""
        total = progress.total_bytes
        tenth = progress.done_bytes * 10 // total if total else 0
        if (progress.phase, tenth) != self._told:
            self._told = (progress.phase, tenth)
            logger.info(
                "engine prepares", extra={"phase": progress.phase, "bytes": progress.done_bytes}
            )
