"""How long prompts and answers are: so that they fit, and so that the engine counts them alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_PREFILL_TOKENS: Final = 8192
_TEMPLATE_TOKENS: Final = 48
"""What a chat template adds to a prompt, generously."""


def fitting(prompt_tokens: int, output_tokens: int, context_tokens: int | None) -> tuple[int, int]:
    """Both lengths so that they fit the model's context, shrunk alike where they do not."""
    if context_tokens is None:
        return prompt_tokens, output_tokens
    room = max(context_tokens - max(_TEMPLATE_TOKENS, context_tokens // 16), 2)
    if prompt_tokens + output_tokens <= room:
        return prompt_tokens, output_tokens
    prompt = prompt_tokens * room // (prompt_tokens + output_tokens)
    prompt = min(max(prompt, 1), room - 1)
    return prompt, room - prompt


def prefill_length(
    prompt_tokens: int, tokens_per_second: float | None, context_tokens: int | None
) -> int:
    """A prompt that takes about a second to read: of a short one, most is the way there."""
    wanted = max(prompt_tokens, round(min(tokens_per_second or 0.0, MOST_PREFILL_TOKENS)))
    return fitting(wanted, 1, context_tokens)[0]


@dataclass(frozen=True)
class Ruler:
    """How many words make so many tokens, as the engine itself counted two prompts."""

    tokens_per_word: float = 1.3
    overhead_tokens: float = 16.0

    @classmethod
    def of(cls, counted: Sequence[tuple[int, int]]) -> Ruler:
        """From (words, tokens) of two prompts; the usual where they tell nothing."""
        if len(counted) != 2 or counted[0][0] == counted[1][0]:  # noqa: PLR2004 a line has two ends
            return cls()
        (few, short), (many, long) = sorted(counted)
        slope = (long - short) / (many - few)
        return cls(slope, max(short - slope * few, 0.0)) if slope > 0 else cls()

    def words(self, tokens: int) -> int:
        """So many words that the prompt has about these tokens, its template included."""
        return max(round((tokens - self.overhead_tokens) / self.tokens_per_word), 1)
