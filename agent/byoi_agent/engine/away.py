"""What is kept in mind of the engines while the machine is its owner's."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Away:
    """`wanted` are the engines that serve again afterwards; the rest is how they were released."""

    wanted: set[str] = field(default_factory=set)
    within_seconds: float = 0.0
    by: float | None = None
