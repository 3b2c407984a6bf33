"""By how much engines stretch the context that a config.json tells; pure.

Models that were trained on short texts read longer ones by turning their positions more slowly. For
some of these ways the config tells the length before, for others the one after. As vLLM 0.32.0
takes it (`vllm/config/model.py`, `_get_and_verify_max_len`).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_OBJECTS: Final = ("rope_parameters", "rope_scaling")  # transformers 5's name, and the one before
_TOLD_AFTER: Final = frozenset(
    {"su", "longrope", "llama3", "yarn", "deepseek_yarn", "deepseek_llama_scaling"}
    | {"telechat3-yarn", "mrope", "default", ""}
)
"""Those whose config tells the length after; `default` and M-RoPE stretch nothing."""

_MOST: Final = 1024.0
"""No model is stretched by more; a file that says so is damaged, or wants a number without end."""


def stretch(text: Mapping[str, Any], model_type: str) -> float:
    """What to multiply the told context by, at least 1; `text` is the text model's own settings."""
    if "gemma3" in model_type:  # whose config tells the length after
        return 1.0
    return max((_factor(one) for one in _parameters(text)), default=1.0)


def _parameters(text: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """One object, or one for each kind of layer."""
    for name in _OBJECTS:
        if isinstance(given := text.get(name), dict):
            yield given
            yield from (one for one in given.values() if isinstance(one, dict))


def _factor(rope: Mapping[str, Any]) -> float:
    kind, factor = rope.get("rope_type") or rope.get("type"), rope.get("factor")
    if not isinstance(kind, str) or kind in _TOLD_AFTER or isinstance(factor, bool):
        return 1.0
    if not isinstance(factor, int | float) or not math.isfinite(factor):
        return 1.0
    return min(_MOST, max(1.0, factor))
