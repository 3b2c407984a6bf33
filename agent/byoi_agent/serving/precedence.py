"""The owner before guests: who gives way when no slot is free, and what is kept free; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Key = TypeVar("Key")

QUIET_SECONDS: Final = 30.0
"""After the owner's last request so long passes before guests get all slots again: who asks once
asks again, and no guest is moved for the second time."""

GRACE_SECONDS: Final = 0.25
"""A guest whose answer has begun gets so long to end by itself before the youngest is moved."""


@dataclass(frozen=True)
class Guest(Generic[Key]):
    """One who has a slot that the owner's request could have."""

    key: Key
    has_begun: bool
    """Whether a part of its answer has gone out."""
    leaves: bool = False
    """Whether its slot is about to be free anyway."""


def give_way(guests: Sequence[Guest[Key]], wanted: int, *, is_pressing: bool) -> list[Key]:
    """Who hands back now, so that `wanted` requests of the owner get slots.

    `guests` in order of their turn: the youngest has the least to lose. Who has not begun to answer
    goes first, since another node loses nothing by it; the others only when it `is_pressing`.
    """
    missing = wanted - sum(guest.leaves for guest in guests)
    here = [guest for guest in reversed(guests) if not guest.leaves]
    silent = [guest.key for guest in here if not guest.has_begun]
    others = [guest.key for guest in here if guest.has_begun] if is_pressing else []
    return [*silent, *others][: max(0, missing)]


@dataclass(frozen=True)
class _Spell:
    """A time in which the owner uses an engine: what is kept for him until it is quiet."""

    most: int
    here: int
    ended_at: float

    def lasts(self, now: float) -> bool:
        return self.here > 0 or now < self.ended_at + QUIET_SECONDS


class Holds:
    """Sole owner of how much the owner has used lately; `now` is monotonic seconds."""

    def __init__(self) -> None:
        self._spells: dict[str, _Spell] = {}

    @property
    def is_empty(self) -> bool:
        """Whether nothing is held, so that nothing has to be given free in time."""
        return not self._spells

    def note(self, engine: str, here: int, slots: int, now: float) -> None:
        """So many of the owner's requests are at that engine now, or wait for it.

        While he asks nothing at most half of its `slots` are kept free for him, at least one.
        """
        spell = self._spells.get(engine)
        most = spell.most if spell is not None and spell.lasts(now) else 0
        if not here and spell is not None and not spell.here:
            return  # quiet before, and still
        if here or most:
            most = min(max(most, here), max(1, -(-slots // 2)))
            self._spells[engine] = _Spell(most, here, now)

    def at(self, now: float) -> Mapping[str, int]:
        """Slots that are the owner's, by engine."""
        self._spells = {key: spell for key, spell in self._spells.items() if spell.lasts(now)}
        return {key: max(spell.most, spell.here) for key, spell in self._spells.items()}
