"""Which models leave the disk when there is room for no more: the longest unused ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True)
class Kept:
    """One model on the disk, or a part of one.

    `used_at` is Unix seconds; `is_protected` means that it must stay: a node serves it, it is being
    pulled, it is pinned, or the settings name it.
    """

    key: str
    size_bytes: int
    used_at: float
    is_protected: bool = False


def victims(kept: Iterable[Kept], budget_bytes: int, needed_bytes: int) -> tuple[str, ...] | None:
    """The keys to remove so that `needed_bytes` more fit into the budget; as few as that takes.

    None where they do not fit even without all that may go; then nothing should.
    """
    all_kept = sorted(kept, key=lambda one: (one.used_at, one.key))
    over = sum(one.size_bytes for one in all_kept) + needed_bytes - budget_bytes
    chosen: list[Kept] = []
    for one in all_kept:
        if over <= 0:
            break
        if not one.is_protected:
            chosen.append(one)
            over -= one.size_bytes
    if over > 0:
        return None
    spare = -over
    for one in sorted(chosen, key=lambda one: (-one.used_at, one.key)):
        if one.size_bytes <= spare:  # a larger one that had to go made room for this one as well
            chosen.remove(one)
            spare -= one.size_bytes
    return tuple(one.key for one in chosen)
