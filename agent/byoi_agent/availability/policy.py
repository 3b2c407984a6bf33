"""Whether the node serves, and what speaks against it: a table of rules, pure.

Times are seconds of a clock that only grows and that also counts while the machine is suspended
(`Now.elapsed`); the owner's clock (`Now.wall`) is for what people read alone, so that setting it
neither ends a pause nor prolongs one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from byoi_agent.availability import rules
from byoi_agent.availability.rules import RULES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from byoi_agent.availability.rules import Inputs, Now, Rule
    from byoi_agent.availability.view import Mode, State

STEADY_SECONDS: Final = 2.0
"""A moment that is reckoned anew stays what it was within this: else each look would be news."""

LOOK_SECONDS: Final = 30.0
"""At the latest the inputs are looked at again after this, whatever is foreseen."""


@dataclass(frozen=True)
class Mark:
    """What is remembered of one rule.

    `begun` is since when its cause is there without a break, None while it is not; `held_at` is
    when it last held, None where it has not; `ends` is when this changes by the clock alone.
    """

    begun: float | None = None
    held_at: float | None = None
    what: str = ""
    ends: float | None = None
    changes_at: float | None = None


@dataclass(frozen=True)
class Decision:
    """What holds, and what has to be remembered for the next decision.

    `what` is the program, the person or the figure that the words name; `until` is in Unix seconds
    and `look_at` in those of `Now.elapsed`. `is_over` tells that the cause has gone and only its
    settling time is waited for.
    """

    mode: Mode = "dedicated"
    state: State = "serve"
    code: str = "dedicated"
    what: str = ""
    is_over: bool = False
    until: float | None = None
    look_at: float = 0.0
    marks: Mapping[str, Mark] = field(default_factory=dict)


def decide(inputs: Inputs, before: Decision, now: Now) -> Decision:
    """What holds now: of the rules that speak against serving, the first one's state."""
    mode: Mode = "dedicated" if inputs.pinned_to else inputs.mode
    marks: dict[str, Mark] = {}
    for rule in RULES:
        if (mark := _mark(rule, inputs, before.marks.get(rule.code), now)) is not None:
            marks[rule.code] = mark
    ends = (mark.ends for mark in marks.values() if mark.ends is not None)
    look_at = min((now.elapsed + LOOK_SECONDS, *ends))
    held = (rule for rule in RULES if mode in rule.modes and _holds(marks.get(rule.code)))
    chosen = next(held, None)
    if chosen is None:
        code, what, until = rules.serving(inputs, mode)
        told = _steady(until, before.until, now)
        return Decision(mode, "serve", code, what, until=told, look_at=look_at, marks=marks)
    mark = marks[chosen.code]
    until = mark.changes_at
    if until is None and mark.ends is not None:
        until = now.wall + mark.ends - now.elapsed
    return Decision(
        mode,
        chosen.state,
        chosen.code,
        mark.what,
        is_over=mark.begun is None,
        until=_steady(until, before.until, now),
        look_at=look_at,
        marks=marks,
    )


def caused_at(before: Decision, after: Decision, now: Now) -> float:
    """When the cause of a new decision was, in the seconds of `Now.elapsed`.

    What was there before the decision, and only holds now (another mode was chosen), was no cause.
    """
    mark, known = after.marks.get(after.code), before.marks.get(after.code)
    if mark is None or mark.held_at is None or _holds(known):
        return now.elapsed
    return min(mark.held_at, now.elapsed if mark.begun is None else mark.begun)


def _mark(rule: Rule, inputs: Inputs, before: Mark | None, now: Now) -> Mark | None:
    """What is to be remembered of a rule; None where its cause is gone and settled."""
    was_held = _holds(before)
    cause = rule.look(inputs, now, was_held)
    if cause is None:
        return _settling(rule, inputs, before, now)
    begun = now.elapsed if before is None or before.begun is None else before.begun
    if not was_held and now.elapsed < begun + rule.onset_seconds:
        return Mark(begun, what=cause.what, ends=begun + rule.onset_seconds)
    at = now.elapsed if cause.at is None else cause.at
    return Mark(begun, at, cause.what, cause.ends, cause.changes_at)


def _settling(rule: Rule, inputs: Inputs, before: Mark | None, now: Now) -> Mark | None:
    if before is None or before.held_at is None:
        return None
    ends = before.held_at + rule.settles(inputs)
    return None if now.elapsed >= ends else Mark(None, before.held_at, before.what, ends)


def _holds(mark: Mark | None) -> bool:
    return mark is not None and mark.held_at is not None


def _steady(until: float | None, before: float | None, now: Now) -> float | None:
    if until is None or until <= now.wall:
        return None
    if before is not None and before > now.wall and abs(until - before) < STEADY_SECONDS:
        return before
    return until
