"""Keeps the times of reclaims beyond the node's end."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from byoi_agent.availability.reclaims import Reclaims
from byoi_agent.config.files import read_private, write_private
from byoi_agent.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from byoi_agent.availability.reclaims import Reclaim

logger = logging.getLogger(__name__)


class KeptReclaims:
    """Sole owner of the file; one that cannot be read is begun anew, as nothing hangs on it.

    What the disk does not take holds until the process ends.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._all = self._read()

    @property
    def all(self) -> Reclaims:
        """The last of them."""
        return self._all

    def keep(self, reclaim: Reclaim) -> None:
        """One more."""
        self._all = self._all.with_one(reclaim)
        try:
            write_private(self._file, self._all.to_json().encode())
        except OSError as error:
            logger.warning("times of reclaims not kept", extra={"reason": str(error)})

    def _read(self) -> Reclaims:
        try:
            return Reclaims.from_json(read_private(self._file).decode())
        except FileNotFoundError:
            return Reclaims()
        except (ValueError, ConfigError, OSError) as error:
            logger.warning("times of reclaims begun anew", extra={"reason": str(error)})
            return Reclaims()
