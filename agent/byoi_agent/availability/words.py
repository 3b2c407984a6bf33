"""A decision in its owner's words, and in those that leave the machine; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from byoi_agent.availability.policy import Decision
    from byoi_agent.availability.rules import Inputs

TO_OTHERS: Final = {
    "paused": ("paused", "paused by its owner"),
    "looking": ("starting", "has just started"),
    "paused_to_finish": ("paused", "paused by its owner"),
    "updating": ("updating", "is being updated"),
    "active": ("in_use", "its owner uses the machine"),
    "unreadable": ("in_use", "its owner uses the machine"),
    "fullscreen": ("in_use", "its owner uses the machine"),
    "program": ("in_use", "its owner uses the machine"),
    "foreign_gpu": ("in_use", "its owner uses the machine"),
    "hot": ("protected", "it spares its hardware"),
    "power": ("protected", "it spares its hardware"),
    "disk": ("protected", "it spares its hardware"),
    "quiet": ("quiet", "quiet hours of its owner"),
    "battery": ("in_use", "its owner uses the machine"),
    "metered": ("in_use", "its owner uses the machine"),
    "outside_window": ("scheduled", "outside of its owner's hours"),
    "held_back": ("scheduled", "waits for better power"),
}
"""Code and reason for a console. What runs there, and who sits there, is the owner's alone."""

BY_CLOCK: Final = frozenset({"paused", "quiet", "scheduled"})
"""Of those, the ones whose end the console hears of; others would tell of each key."""

_OPEN: Final = " until resumed"
_NEVER: Final = "none opens, see: byoi schedule"


def reason_of(
    decision: Decision, inputs: Inputs, now: float, local: Callable[[float], datetime]
) -> str:
    """The sentence for the owner; `local` tells what the owner's clock shows at Unix seconds."""
    if decision.state == "serve":
        return _serving(decision)
    at = "" if decision.until is None else clock_time(decision.until, now, local)
    if decision.is_over:
        return f"{_was(decision)}; serves again{f' at {at}' if at else ''}"
    return _is(decision, inputs, at)


def clock_time(at: float, now: float, local: Callable[[float], datetime]) -> str:
    """A moment on the owner's clock, with its day where that is not today's."""
    shown, today = local(at), local(now)
    day = "" if shown.date() == today.date() else f"{shown:%a} "
    return f"{day}{shown:%H:%M}"


def person_of(actor: str) -> str:
    """Who did something, for the owner: the user's name where it is known."""
    _, has_name, rest = actor.partition(" (")
    return rest.removesuffix(")") if has_name else "you"


def _serving(decision: Decision) -> str:
    match decision.code:
        case "pinned":
            return f"serves {decision.what} alone, as you allowed"
        case "away":
            return "serves while nobody is at the machine"
        case "in_window":
            return "serves as the schedule says"
        case _:
            return "always serves"


def _is(decision: Decision, inputs: Inputs, at: str) -> str:
    until, opens = f" until {at}" if at else "", f"next at {at}" if at else _NEVER
    what, minutes = decision.what, inputs.idle.after_minutes
    paused = f"paused by {person_of(what)}{until or _OPEN}"
    after = "1 minute" if minutes == 1 else f"{minutes:g} minutes"
    told = {
        "paused": paused,
        "paused_to_finish": f"{paused}; what runs may end first",
        "updating": f"{what} is about to be installed; what runs may end first",
        "active": f"{what} is at the keyboard; serves again after {after} without a key",
        "unreadable": f"nobody can tell whether {what} is at the keyboard; see: byoi doctor",
        "looking": "looks first whether anybody uses the machine",
        "fullscreen": f"{what} fills the screen",
        "program": f"{what} runs",
        "outside_window": f"outside of the schedule's windows; {opens}",
        "quiet": f"quiet hours{until}",
        "battery": "on battery",
        "metered": "the network is metered",
    }
    return told.get(decision.code, what)


def _was(decision: Decision) -> str:
    what = decision.what
    match decision.code:
        case "active":
            return f"{what} has just left"
        case "unreadable":
            return f"{what} may have been at the keyboard"
        case "fullscreen" | "program":
            return f"{what} has just ended"
        case "battery":
            return "was on battery"
        case "metered":
            return "the network was metered"
        case _:
            return f"a moment ago: {what}"
