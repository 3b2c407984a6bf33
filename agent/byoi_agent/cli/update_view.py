"""What `byoi update` and `byoi status` say of versions: for people, and for programs."""

from __future__ import annotations

import importlib.metadata
from datetime import datetime
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict

from byoi_agent.update import place
from byoi_agent.update.told import Entry, Told, read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from byoi_agent.config.installation import Installation

_SHOWN: Final = 10


class UpdateTold(BaseModel):
    """`byoi update`: the version that is installed, one that may come, and what came of updates.

    `held` is why an available one is not installed by itself, `trouble` why the index could not be
    asked; times are Unix seconds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    kind: str
    ring: str
    checked_at: float | None
    available: str | None
    held: str | None
    trouble: str | None
    underway: str | None
    history: tuple[Entry, ...]

    @property
    def sentence(self) -> str:
        """The whole of it for people."""
        if self.underway is not None:
            return f"{self.version}; an update to {self.underway} is under way."
        if self.trouble is not None:
            return f"{self.version}; whether there is a newer version is not known: {self.trouble}"
        if self.available is not None:
            held = self.held or "to install it: byoi update"
            return f"{self.version}; {self.available} is available: {held}"
        if self.checked_at is None:
            return f"{self.version}; nobody has looked for a newer version: byoi update --check"
        return f"{self.version} is the newest version of the ring {self.ring}."


def told_of(installation: Installation, version: str | None = None) -> UpdateTold:
    """What is known on this machine; `version` is installed now, this program's if None."""
    folder = place.folder_of(installation)
    told = (None if folder is None else read(folder)) or Told()
    return UpdateTold(
        version=version or importlib.metadata.version("byoi-agent"),
        kind=installation.kind,
        ring=told.ring,
        checked_at=told.checked_at,
        available=told.available,
        held=told.held,
        trouble=told.trouble,
        underway=told.underway,
        history=told.history,
    )


def history(told: UpdateTold) -> Iterator[str]:
    """A line for each of the last updates, newest first."""
    for entry in told.history[: -_SHOWN - 1 : -1]:
        at = datetime.fromtimestamp(entry.at).astimezone()
        why = f": {entry.reason}" if entry.reason else ""
        yield f"  {at:%Y-%m-%d %H:%M}  {entry.old} → {entry.new}  {entry.outcome}{why}"
