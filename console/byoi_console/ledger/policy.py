"""What an attempt is billed, from the console's count and the node's claim; either may be missing.

The answer depends on the two counts alone, never on which came first, so a row can be settled
again whenever something comes, and always ends the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from byoi_wire.usage import Usage
from byoi_wire.version import WINDOW_BYTES

if TYPE_CHECKING:
    from byoi_console.ledger.entries import Count

EVENT_BYTES: Final = 128
"""A content event's size where none was seen; OpenAI's chunks are 180 bytes and more."""

_EVENT_BYTES_LEAST: Final = 64
PROMPT_SLACK_TOKENS: Final = 1024
"""What a chat template may add to a prompt; apart from that, no token is shorter than a byte."""


class Bill(NamedTuple):
    """What the row bills, and what is to be said of it."""

    usage: Usage
    is_uncounted: bool
    has_difference: bool


def settle(counted: Count | None, claimed: Count | None) -> Bill:
    """The bill of one attempt.

    - Only a claim (the console died meanwhile): the claim, marked uncounted.
    - Only a count: the count; the claim is still to come, or never will.
    - The console saw the engine's own figures: those, or the smaller where the claim differs.
    - A cut answer: tokens are produced ahead of what the client got, so the claim holds as far
      as the link can have carried it; beyond that the console's count.
    - Nothing was delivered and the attempt failed: nothing, whatever the engine had done.
    """
    if counted is None:
        usage = claimed.usage if claimed else Usage()
        return Bill(usage, is_uncounted=True, has_difference=False)
    if claimed is None or claimed.counted_by == "none":
        return Bill(_without_failure(counted, counted.usage), False, False)
    if counted.counted_by == "engine":
        differs = counted.usage != claimed.usage
        return Bill(_smaller(counted.usage, claimed.usage), False, differs)
    bill, differs = _settle_cut(counted, claimed.usage)
    return Bill(_without_failure(counted, bill), False, differs)


def in_flight_tokens(counted: Count) -> int:
    """How many tokens can have been under way when the answer was cut: one window of events."""
    size = EVENT_BYTES
    if counted.delivered_events:
        size = max(counted.delivered_bytes // counted.delivered_events, _EVENT_BYTES_LEAST)
    return WINDOW_BYTES // size


def _settle_cut(counted: Count, claim: Usage) -> tuple[Usage, bool]:
    completion_limit = counted.usage.completion_tokens + in_flight_tokens(counted)
    too_long = claim.completion_tokens > completion_limit
    too_wide = (
        counted.request_bytes is not None
        and claim.prompt_tokens > counted.request_bytes + PROMPT_SLACK_TOKENS
    )
    smaller = _smaller(counted.usage, claim)
    prompt = smaller if too_wide else claim
    completion = smaller if too_long else claim
    usage = Usage(
        prompt_tokens=prompt.prompt_tokens,
        cached_tokens=min(prompt.cached_tokens, prompt.prompt_tokens),
        completion_tokens=completion.completion_tokens,
        reasoning_tokens=min(completion.reasoning_tokens, completion.completion_tokens),
    )
    return usage, too_long or too_wide


def _without_failure(counted: Count, usage: Usage) -> Usage:
    return Usage() if counted.outcome == "failed" and not counted.delivered_events else usage


def _smaller(one: Usage, other: Usage) -> Usage:
    return Usage(
        prompt_tokens=min(one.prompt_tokens, other.prompt_tokens),
        completion_tokens=min(one.completion_tokens, other.completion_tokens),
        cached_tokens=min(one.cached_tokens, other.cached_tokens),
        reasoning_tokens=min(one.reasoning_tokens, other.reasoning_tokens),
    )
