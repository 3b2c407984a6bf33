"""What engines tell of their work in Prometheus' text form: two families of names, one meaning."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final

from byoi_agent.engine.view import EngineLoad
from byoi_agent.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from byoi_agent.engine.client import EngineClient

METRICS_SECONDS: Final = 5.0
_OK: Final = 200

_RUNNING: Final = ("vllm:num_requests_running", "llamacpp:requests_processing")
_WAITING: Final = ("vllm:num_requests_waiting", "llamacpp:requests_deferred")
# Earlier vLLMs named it gpu_cache_usage_perc; llama.cpp dropped its own in 2025.
_KV_USED: Final = (
    "vllm:kv_cache_usage_perc",
    "vllm:gpu_cache_usage_perc",
    "llamacpp:kv_cache_usage_ratio",
)
_PROMPT: Final = ("vllm:prompt_tokens_total", "llamacpp:prompt_tokens_total")
_HELD: Final = re.compile(
    r'^vllm:cache_config_info\{[^\n]*\bkv_cache_size_tokens="(\d{1,15})"', re.MULTILINE
)
_GENERATED: Final = ("vllm:generation_tokens_total", "llamacpp:tokens_predicted_total")


async def ask_load(client: EngineClient) -> EngineLoad | None:
    """GET /metrics; None where there is no such route, or nothing there that we know."""
    try:
        answer = await client.fetch("GET", "/metrics", timeout_seconds=METRICS_SECONDS)
    except EngineError:
        return None
    if answer.status != _OK:
        return None
    return read_load(answer.body.decode(errors="replace"))


def read_load(text: str) -> EngineLoad | None:
    """The numbers of either family; None where there is none of them."""
    found = _values(text)
    kv_used = _first(found, _KV_USED)
    load = EngineLoad(
        running=_count(found, _RUNNING),
        waiting=_count(found, _WAITING),
        kv_used=max(kv_used) if kv_used else None,
        prompt_tokens=_count(found, _PROMPT),
        generated_tokens=_count(found, _GENERATED),
        held_tokens=sum(map(int, _HELD.findall(text))) or None,
    )
    return None if load == EngineLoad() else load


def _values(text: str) -> dict[str, list[float]]:
    """Each known name's values, one per set of labels: several engine cores, several models."""
    wanted = {*_RUNNING, *_WAITING, *_KV_USED, *_PROMPT, *_GENERATED}
    found: dict[str, list[float]] = {}
    for line in text.splitlines():
        name = line.partition("{")[0].partition(" ")[0]
        if name not in wanted:
            continue
        # A label may hold blanks and braces; what follows the last brace is the value.
        words = line.rpartition("}")[2].split() if "{" in line else line.split()[1:]
        try:
            value = float(words[0])
        except (IndexError, ValueError):
            continue
        if math.isfinite(value):
            found.setdefault(name, []).append(value)
    return found


def _first(found: Mapping[str, list[float]], names: tuple[str, ...]) -> list[float] | None:
    return next((found[name] for name in names if name in found), None)


def _count(found: Mapping[str, list[float]], names: tuple[str, ...]) -> int | None:
    total = sum(_first(found, names) or (math.nan,))
    return int(total) if math.isfinite(total) else None
