"""Leaves word of the running node in its state folder, as soon as the disk takes it."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from byoi_agent.control.instances import write_place

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from byoi_agent.clock import Clock
    from byoi_agent.control.schema import NodePlace
    from byoi_agent.telemetry.health import Health

logger = logging.getLogger(__name__)

RETRY_SECONDS: Final = 5.0
_WARNING: Final = "state-not-written"


class Word:
    """Sole writer of the file that says where the node's control API listens.

    In `copies` it is for others too, by the rights of their folders.

    A disk that is full is no reason not to begin: the socket is found without the file.
    """

    def __init__(
        self,
        file: Path,
        place: Callable[[], NodePlace],
        health: Health,
        clock: Clock,
        copies: tuple[Path, ...] = (),
    ) -> None:
        self._files = (file, *copies)
        self._place = place
        self._health = health
        self._clock = clock

    async def run(self) -> None:
        """Until the word is left."""
        while not self.leave():
            await self._clock.sleep_until(self._clock.monotonic() + RETRY_SECONDS)

    def leave(self) -> bool:
        """Write it now, if that can be done."""
        try:
            for file in self._files:
                write_place(file, self._place())
        except OSError as error:
            self._health.warn(
                _WARNING,
                f"the data folder cannot be written to ({error.strerror})",
                "make room on its disk; the node goes on by itself",
            )
            return False
        self._health.clear(_WARNING)
        return True

    def take_back(self) -> None:
        """The node ends; where the disk no longer takes that, its process number tells as much."""
        for file in self._files:
            with suppress(OSError):
                file.unlink(missing_ok=True)
