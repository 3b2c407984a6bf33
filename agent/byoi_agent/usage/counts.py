"""Token counts and endings as engines write them, read without trusting their shape."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from byoi_wire.usage import Usage


def usage_of(value: object) -> Usage | None:
    """A `usage` object in the terms of either API; None where it does not say what was used."""
    if not isinstance(value, Mapping):
        return None
    prompt = _count(value, "prompt_tokens", "input_tokens")
    if prompt is None:
        return None
    prompt_details = _object(value, "prompt_tokens_details", "input_tokens_details")
    completion_details = _object(value, "completion_tokens_details", "output_tokens_details")
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=_count(value, "completion_tokens", "output_tokens") or 0,
        cached_tokens=_count(prompt_details, "cached_tokens") or 0,
        reasoning_tokens=_count(completion_details, "reasoning_tokens") or 0,
    )


def pieces_of(choice: Mapping[str, Any]) -> Iterator[str]:
    """All text that the model generated in one choice, whole (`message`) or in part (`delta`)."""
    yield from _texts(choice, "text")
    for place in ("delta", "message"):
        part = choice.get(place)
        if isinstance(part, Mapping):
            yield from _texts(part, "content", "reasoning_content", "reasoning")
            for call in _objects(part.get("tool_calls")):
                yield from _texts(_object(call, "function"), "arguments")


def output_pieces_of(response: Mapping[str, Any]) -> Iterator[str]:
    """All text that the model generated in a whole `response`."""
    for item in _objects(response.get("output")):
        yield from _texts(item, "arguments")
        for part in _objects(item.get("content")):
            yield from _texts(part, "text")


def _objects(value: object) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, list):
        yield from (item for item in value if isinstance(item, Mapping))


def _texts(value: Mapping[str, Any], *names: str) -> Iterator[str]:
    for name in names:
        if isinstance(text := value.get(name), str) and text:
            yield text


def _object(value: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    for name in names:
        if isinstance(inner := value.get(name), Mapping):
            return inner
    return {}


def _count(value: Mapping[str, Any], *names: str) -> int | None:
    for name in names:
        if isinstance(count := value.get(name), int) and count >= 0:
            return int(count)
    return None
