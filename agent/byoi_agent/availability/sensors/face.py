"""What every sensor looks like to the watch, and what passes for an answer of a foreign program."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Said_co = TypeVar("Said_co", covariant=True)

LONGEST_IDLE_SECONDS: Final = 10 * 366 * 86_400.0
"""A source that tells of more is broken."""

_LONGEST_NAME: Final = 200


class Sensor(Protocol[Said_co]):
    """One source on one system, with all that belongs to it."""

    @property
    def name(self) -> str:
        """How the owner would look it up."""
        ...

    @property
    def every_seconds(self) -> float:
        """How often to ask while it answers; what it tells by itself comes between."""
        ...

    @property
    def trouble(self) -> str | None:
        """Why the last answer was None, in words for the owner."""
        ...

    def on_change(self, tell: Callable[[], None]) -> None:
        """Whom to tell, on the loop, that asking now is worth it."""
        ...

    async def read(self) -> Said_co | None:
        """What it says now; None if it cannot be asked here. Never raises for a foreign fault."""
        ...

    async def close(self) -> None:
        """Give back what it holds."""
        ...


def idle_seconds(value: object, per_second: float = 1.0) -> float | None:
    """A time without input as another program tells it; None for what cannot be one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    seconds = value / per_second
    return seconds if math.isfinite(seconds) and 0 <= seconds <= LONGEST_IDLE_SECONDS else None


def truth(value: object) -> bool | None:
    """Yes or no; None for all else."""
    return value if isinstance(value, bool) else None


def words(value: object) -> str | None:
    """A name as another program tells it, on one line and of bounded length; None for none."""
    if not isinstance(value, str):
        return None
    shown = "".join(one if one.isprintable() else " " for one in value[:_LONGEST_NAME]).strip()
    return shown or None
