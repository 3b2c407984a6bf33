"""How many tokens an attempt used: as the engine says, else by its tokenizer, else by events."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from byoi_agent.errors import EngineError
from byoi_wire.http.sse import data_of, events
from byoi_wire.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from byoi_agent.serving.answer import EngineAnswer
    from byoi_agent.serving.request import PreparedRequest
    from byoi_wire.usage import CountedBy

logger = logging.getLogger(__name__)

COUNT_SECONDS: Final = 2.0
HASTY_COUNT_SECONDS: Final = 0.5
"""While the node goes down, and a second signal may want it down at once."""

HANDING_BACK_SECONDS: Final = 0.25
"""While the machine's owner waits for its memory; the engine goes as soon as all is counted."""


class Measured(NamedTuple):
    """The tokens, and where the numbers come from."""

    usage: Usage
    counted_by: CountedBy


NOTHING: Final = Measured(Usage(), "none")


class Counter(Protocol):
    """The part of an engine's kind that counts; see `byoi_agent.engine.kinds.base`."""

    @property
    def counts_all_choices(self) -> bool: ...  # noqa: D102

    async def count(  # noqa: D102
        self,
        client: Any,  # noqa: ANN401 - each kind's own client, handed through
        path: str,
        request: Mapping[str, Any],
        text: str,
    ) -> Usage | None: ...


async def measure(
    kind: Counter,
    client: object,
    request: PreparedRequest,
    answer: EngineAnswer,
    *,
    within_seconds: float,
) -> Measured:
    """Count an attempt that reached the engine; the tokenizer gets `within_seconds` to answer."""
    usage = answer.usage
    if usage is not None and (request.choices == 1 or kind.counts_all_choices):
        return Measured(usage, "engine")
    counted = None
    if (text := answer.text) is not None:
        counted = await _by_tokenizer(kind, client, request, text, within_seconds)
    if counted is not None:
        cached = 0 if usage is None else usage.cached_tokens
        return Measured(counted.model_copy(update={"cached_tokens": cached}), "tokenizer")
    return without_tokenizer(answer)


def without_tokenizer(answer: EngineAnswer) -> Measured:
    """What is known without asking anybody: an event carries one token, as engines write them."""
    if answer.usage is not None:
        return Measured(answer.usage, "engine")
    if answer.content_events:
        return Measured(Usage(completion_tokens=answer.content_events), "events")
    return NOTHING


def restate(last: bytes, usage: Usage, *, is_stream: bool) -> bytes:
    """The end of an answer with the counts that the record has, where the engine's were not whole.

    What carries no usage, or the same, comes back as it was.
    """
    if not is_stream:
        return _with_usage(last, usage) or last
    parts = []
    for event in events(last):
        restated = _with_usage(data_of(event), usage)
        parts.append(event if restated is None else b"data: " + restated + b"\n\n")
    return b"".join(parts)


async def _by_tokenizer(
    kind: Counter, client: object, request: PreparedRequest, text: str, within_seconds: float
) -> Usage | None:
    try:
        async with asyncio.timeout(within_seconds):
            return await kind.count(client, request.path, json.loads(request.body), text)
    except (EngineError, TimeoutError):
        return None
    except Exception:  # the answer is over: a fault in counting must not cost its record
        logger.exception("tokens not counted")
        return None


def _with_usage(data: bytes, usage: Usage) -> bytes | None:
    try:
        value = json.loads(data)
    except ValueError:
        return None
    if not isinstance(value, dict) or not isinstance(value.get("usage"), dict):
        return None
    right = {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }
    if value["usage"].items() >= right.items():
        return None
    value["usage"] |= right
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
