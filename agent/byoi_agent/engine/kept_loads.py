"""Predicted and measured memory of the loads of this node, kept beyond its restarts."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from byoi_agent.config.files import read_private, write_private
from byoi_agent.errors import ConfigError
from byoi_agent.planning.calibration import Corrections, Key, Observation

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger(__name__)


class _Observation(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    predicted_bytes: int = Field(gt=0)
    measured_bytes: int = Field(gt=0)
    at: float
    expected_bytes: int | None = None


class _Load(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    engine: str
    version: str
    model: str
    quantisation: str
    context_tokens: int
    concurrency: int
    seen: tuple[_Observation, ...]


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    loads: tuple[_Load, ...] = ()


class KeptLoads:
    """Sole owner of the file, in the one process that holds the state folder's lock.

    Whole or not there: it is replaced, never written over. One that cannot be understood is set
    aside, and what is learnt begins anew; a disk that is full costs what was learnt since.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._corrections = read_loads(file, set_aside=True)

    @property
    def corrections(self) -> Corrections:
        """All that is known now."""
        return self._corrections

    def learn(self, key: Key, observation: Observation) -> None:
        """One more load, or more of one (by its time)."""
        self._corrections = self._corrections.and_seen(key, observation)
        loads = tuple(
            _Load(**asdict(key), seen=tuple(_Observation(**asdict(one)) for one in observations))
            for key, observations in self._corrections.seen.items()
        )
        try:
            write_private(self._file, _File(loads=loads).model_dump_json(indent=1).encode())
        except OSError as error:
            logger.warning(
                "what a load took cannot be kept",
                extra={"file": str(self._file), "why": str(error)},
            )


def read_loads(file: Path, *, set_aside: bool = False) -> Corrections:
    """What the node of that state folder has learnt; nothing where it cannot be read.

    Only the node itself may set a broken file aside.
    """
    try:
        kept = _File.model_validate_json(read_private(file))
    except FileNotFoundError:
        return Corrections()
    except (ValidationError, ConfigError, OSError) as error:
        if set_aside:
            _set_aside(file, error)
        return Corrections()
    corrections = Corrections()
    for load in kept.loads:
        key = Key(**load.model_dump(exclude={"seen"}))
        for one in load.seen:
            corrections = corrections.and_seen(key, Observation(**one.model_dump()))
    return corrections


def _set_aside(file: Path, error: Exception) -> None:
    aside = file.with_name(f"{file.name}.unreadable")
    logger.warning(
        "what earlier loads took cannot be read and is set aside",
        extra={"file": str(aside), "reason": str(error)[:200]},
    )
    try:
        file.replace(aside)
    except OSError:
        logger.warning("it cannot be set aside either", extra={"file": str(file)})
