"""One model as the residency sees it: where it is, who wants it, what memory it takes; pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from byoi_agent.engine.residency.memory import most

if TYPE_CHECKING:
    from collections.abc import Mapping

    from byoi_agent.engine.residency.memory import Amounts

How = Literal["sleep", "stop"]
"""Asleep, an engine keeps its process, and what it needs then is counted too."""


@dataclass(frozen=True)
class Model:
    """What the owner says of one model. `edition` tells two engines of the same key apart.

    `asleep` is what it needs asleep, None where it cannot sleep.
    """

    key: str
    loaded: Amounts
    asleep: Amounts | None = None
    priority: int = 50
    loads_at_start: bool = False
    idle_unload_seconds: float | None = None
    edition: int = 0


# Places: where a model is.


@dataclass(frozen=True)
class Out:
    """It holds nothing, and can be loaded."""


@dataclass(frozen=True)
class Unfit:
    """It does not fit, even alone."""

    reason: str


@dataclass(frozen=True)
class Failed:
    """It could not be loaded, and is not tried before `until`; None: the owner must act."""

    reason: str
    until: float | None


@dataclass(frozen=True)
class Loading:
    """It is being started or woken, since then."""

    since: float


@dataclass(frozen=True)
class Loaded:
    """It serves since then; where it `closes`, it starts nothing new and goes when it is idle."""

    since: float
    closes: bool = False


@dataclass(frozen=True)
class Leaving:
    """It is being unloaded; `failure` says why, where nobody wanted that."""

    how: How = "stop"
    failure: str | None = None
    is_final: bool = False


@dataclass(frozen=True)
class Asleep:
    """Its process is there, its memory mostly not."""


Place = Out | Unfit | Failed | Loading | Loaded | Leaving | Asleep


@dataclass(frozen=True)
class Resident:
    """One model and all that is known of it.

    `used_at` is when it was last in use, or was loaded; since `waited_from` somebody has waited
    without a break. `is_held`: its owner took it away for now. `is_retired`: the settings have it
    no more, but maybe a `successor`. `wants_in`: it loads into free memory though nobody asks;
    `is_called`: its owner asked for it, and others give way as if somebody waited.
    """

    model: Model
    place: Place = field(default_factory=Out)
    running: int = 0
    waiting: int = 0
    waited_from: float | None = None
    used_at: float = 0.0
    attempts: int = 0
    is_held: bool = False
    is_retired: bool = False
    successor: Model | None = None
    wants_in: bool = False
    is_called: bool = False

    @property
    def presses(self) -> bool:
        """Whether others shall give way to it."""
        return self.waiting > 0 or self.is_called

    @property
    def is_busy(self) -> bool:
        """Whether somebody uses it or waits for it."""
        return self.running > 0 or self.waiting > 0

    @property
    def is_wanted(self) -> bool:
        """Whether it shall be loaded and is not."""
        is_out = isinstance(self.place, Out | Asleep) and not self.is_held and not self.is_retired
        return is_out and (self.waiting > 0 or self.wants_in)

    @property
    def stays(self) -> bool:
        """Whether it holds memory, and was not told to go."""
        if isinstance(self.place, Loaded):
            return not self.place.closes
        return isinstance(self.place, Loading | Asleep)

    @property
    def takes(self) -> Amounts:
        """The memory that it holds now, or will in a moment."""
        asleep = self.model.asleep or {}
        match self.place:
            case Loading() | Loaded() | Leaving(how="stop"):
                return self.model.loaded
            case Leaving():
                return most(self.model.loaded, asleep)
            case Asleep():
                return asleep
            case _:
                return {}

    @property
    def keeps(self) -> Amounts:
        """What of it is still held once those have gone that were told to."""
        if isinstance(self.place, Leaving) and self.place.how == "sleep":
            return self.model.asleep or {}
        return self.takes if self.stays else {}

    @property
    def idle_unload_at(self) -> float | None:
        """When it will have been idle for too long."""
        limit = self.model.idle_unload_seconds
        if limit is None or self.is_busy or not isinstance(self.place, Loaded):
            return None
        return self.used_at + limit


@dataclass(frozen=True)
class State:
    """All models in the settings' order, and the memory that they share.

    `others` is what of it programs hold now that are none of theirs.
    """

    budget: Amounts = field(default_factory=dict)
    residents: Mapping[str, Resident] = field(default_factory=dict)
    others: Amounts = field(default_factory=dict)
