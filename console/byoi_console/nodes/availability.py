"""What people see of a live node's wish to serve, in one word. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from byoi_console.routing.registry import LiveFacts

AvailabilityState = Literal["serving", "away", "paused", "scheduled", "drained", "leaving"]

_BY_CODE: Final[dict[str, AvailabilityState]] = {
    "paused": "paused",
    "scheduled": "scheduled",
    "quiet": "scheduled",
    "draining": "leaving",
}


def availability_of(facts: LiveFacts) -> AvailabilityState:
    """Whether new requests go there, and if not, by whose wish.

    `drained` is an administrator's. The others are its owner's: `paused` by hand, `scheduled` by
    hours of theirs, `leaving` as it stops, and `away` for all else: the machine is in use, or
    spared.
    """
    if facts.is_drained:
        return "drained"
    told = facts.availability
    if told.serving:
        return "serving"
    return "paused" if told.is_paused else _BY_CODE.get(told.code, "away")
