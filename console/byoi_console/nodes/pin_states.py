"""What becomes of a pin: an organisation asks, the node's owner decides, either may end it. Pure.

Only the node's own word makes a pin granted, and every later word of it holds, also that it knows
of no consent (any more). What is over stays over: who wants it again asks again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from byoi_wire.messages import PinAnswerState

PinState = Literal["asked", "granted", "refused", "withdrawn", "ended"]

OPEN: Final[frozenset[PinState]] = frozenset({"asked", "granted"})
"""States in which the node is asked again at each link."""


class Heard(NamedTuple):
    """What a node's word leads to; `shall_end`: it keeps a pin that is over, and is told so."""

    state: PinState
    is_news: bool
    shall_end: bool


def heard(state: PinState, word: PinAnswerState) -> Heard:
    """A node says `word` of a pin that stands so."""
    if state in OPEN:
        return Heard(word, is_news=word != state, shall_end=False)
    return Heard(state, is_news=False, shall_end=word in OPEN)


def is_dedicated(state: PinState) -> bool:
    """Whether the node serves that organisation alone."""
    return state == "granted"
