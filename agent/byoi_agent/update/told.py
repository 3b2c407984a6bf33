"""What everybody on the machine may know of updates: for status, doctor and pages of the node."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict, ValidationError

if TYPE_CHECKING:
    from pathlib import Path

FILE_NAME: Final = "told.json"
_MODE: Final = 0o644
_LIMIT_BYTES: Final = 256 * 1024


class Entry(BaseModel):
    """What came of one update: `updated`, `postponed`, `rolled back` or `stuck`; Unix seconds."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    at: float
    old: str
    new: str
    outcome: str
    reason: str = ""


class Told(BaseModel):
    """`available` is a newer version that this node may become, `held` why it does not become one.

    `trouble` is why the index could not be used when it was last asked, at `checked_at`; `underway`
    is the version that is being installed, or gone back from; `history` is oldest first.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    checked_at: float | None = None
    ring: str = "stable"
    available: str | None = None
    held: str | None = None
    trouble: str | None = None
    underway: str | None = None
    history: tuple[Entry, ...] = ()

    @property
    def last(self) -> Entry | None:
        """What came of the last one."""
        return self.history[-1] if self.history else None


def read(folder: Path) -> Told | None:
    """What the updater last told; None where it never ran, or its word cannot be read."""
    try:
        with (folder / FILE_NAME).open("rb") as file:
            return Told.model_validate_json(file.read(_LIMIT_BYTES))
    except (OSError, ValidationError):
        return None


def write(folder: Path, told: Told) -> None:
    """Tell; a reader sees the old or the new whole.

    Raises:
        OSError: the disk does not take it.
    """
    draft = folder / f".{FILE_NAME}.{secrets.token_hex(6)}"
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
        with os.fdopen(descriptor, "wb") as file:
            if hasattr(os, "fchmod"):
                os.fchmod(file.fileno(), _MODE)  # whatever the mask is
            file.write(told.model_dump_json(indent=1).encode())
        draft.replace(folder / FILE_NAME)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
