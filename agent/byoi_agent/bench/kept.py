"""What benchmarks of this node have found, kept beyond its restarts."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from byoi_agent.config.files import read_private, write_private
from byoi_agent.errors import AgentError, ConfigError
from byoi_wire.ids import ModelId
from byoi_wire.offers import Measured

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

logger = logging.getLogger(__name__)

KEPT_LIMIT: Final = 256
"""Models and engines; the oldest measurement goes first."""


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    model: ModelId
    measured: Measured


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    measured: tuple[_Entry, ...] = ()


class Kept:
    """Sole owner of the file, in the one process that holds the state folder's lock.

    One measurement for each model and engine with its version: another version has to be measured
    again. A file that cannot be understood is set aside, and what follows begins anew.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._entries = {(entry.model, entry.measured.engine): entry for entry in self._read()}

    @property
    def all(self) -> Mapping[tuple[ModelId, str], Measured]:
        """By model and engine."""
        return {key: entry.measured for key, entry in self._entries.items()}

    def keep(self, model: ModelId, measured: Measured) -> None:
        """Put it in the place of what was known of this model with this engine.

        Raises:
            AgentError: the disk did not take it; it holds until the process ends.
        """
        entries = {
            **self._entries,
            (model, measured.engine): _Entry(model=model, measured=measured),
        }
        newest = sorted(entries.items(), key=lambda pair: pair[1].measured.at_ms)[-KEPT_LIMIT:]
        self._entries = dict(newest)
        kept = _File(measured=tuple(self._entries.values()))
        try:
            write_private(self._file, kept.model_dump_json(indent=2).encode())
        except OSError as error:
            raise AgentError(
                f"what was measured cannot be kept in {self._file}: {error.strerror}; "
                "make room there and measure again"
            ) from error

    def _read(self) -> tuple[_Entry, ...]:
        try:
            return _File.model_validate_json(read_private(self._file)).measured
        except FileNotFoundError:
            return ()
        except (ValidationError, ConfigError, OSError) as error:
            self._set_aside(error)
            return ()

    def _set_aside(self, error: Exception) -> None:
        aside = self._file.with_name(f"{self._file.name}.unreadable")
        logger.warning(
            "measurements cannot be read and are set aside; measure again: byoi bench",
            extra={"file": str(aside), "reason": str(error)[:200]},
        )
        try:
            self._file.replace(aside)
        except OSError:
            logger.warning("they cannot be set aside either", extra={"file": str(self._file)})
