"""Counts tokens with the engine's own tokenizer, for answers that were cut before their usage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from byoi_agent.engine.kinds.probes import ask
from byoi_agent.errors import EngineError
from byoi_wire.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from byoi_agent.engine.client import EngineClient

_SECONDS = 10.0


async def count_with_llamacpp(
    client: EngineClient, path: str, request: Mapping[str, Any], text: str
) -> Usage | None:
    """By /apply-template and /tokenize; None when the engine does not answer them."""
    try:
        prompt = 0
        messages = messages_of(path, request)
        if messages is not None:
            template = {"messages": messages}
            if request.get("tools"):
                template["tools"] = request["tools"]
            applied = await ask(
                client, "POST", "/apply-template", template, timeout_seconds=_SECONDS
            )
            prompt = await _tokens(client, str(applied.get("prompt", "")), is_prompt=True)
        else:
            for part in texts_of(request):
                prompt += await _prompt_tokens(client, part)
        completion = await _tokens(client, text, is_prompt=False) if text else 0
    except EngineError:
        return None
    return Usage(prompt_tokens=prompt, completion_tokens=completion)


async def count_with_vllm(
    client: EngineClient, path: str, request: Mapping[str, Any], text: str
) -> Usage | None:
    """By /tokenize, which applies the template itself; None when the engine does not answer it."""
    model = request.get("model")
    try:
        messages = messages_of(path, request)
        if messages is not None:
            body = {"model": model, "messages": messages, "add_generation_prompt": True}
            prompt = _count(await ask(client, "POST", "/tokenize", body, timeout_seconds=_SECONDS))
        else:
            prompt = 0
            for part in texts_of(request):
                body = {"model": model, "prompt": part}
                prompt += (
                    _count(await ask(client, "POST", "/tokenize", body, timeout_seconds=_SECONDS))
                    if isinstance(part, str)
                    else len(part)
                )
        body = {"model": model, "prompt": text, "add_special_tokens": False}
        completion = (
            _count(await ask(client, "POST", "/tokenize", body, timeout_seconds=_SECONDS))
            if text
            else 0
        )
    except EngineError:
        return None
    return Usage(prompt_tokens=prompt, completion_tokens=completion)


def messages_of(path: str, request: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """The conversation of a chat or responses request; None for routes without a template."""
    if path.endswith("/chat/completions"):
        return list(request.get("messages") or [])
    if not path.endswith("/responses"):
        return None
    messages = []
    if request.get("instructions"):
        messages.append({"role": "system", "content": request["instructions"]})
    given = request.get("input")
    if isinstance(given, str):
        return [*messages, {"role": "user", "content": given}]
    items = [item for item in given or () if isinstance(item, dict) and "role" in item]
    turns = [{"role": item["role"], "content": _text_of(item.get("content"))} for item in items]
    return [*messages, *turns]


def texts_of(request: Mapping[str, Any]) -> list[str | list[int]]:
    """The prompts of a completion, or the inputs of an embedding, each as text or as token ids."""
    given = request.get("prompt", request.get("input"))
    if isinstance(given, list) and given and isinstance(given[0], str | list):
        return list(given)
    return [given] if isinstance(given, str | list) else []


def _text_of(content: object) -> str:
    if isinstance(content, str):
        return content
    parts: Iterable[Any] = content if isinstance(content, list) else ()
    return "".join(part["text"] for part in parts if isinstance(part, dict) and "text" in part)


async def _prompt_tokens(client: EngineClient, part: str | list[int]) -> int:
    return await _tokens(client, part, is_prompt=True) if isinstance(part, str) else len(part)


async def _tokens(client: EngineClient, text: str, *, is_prompt: bool) -> int:
    body = {"content": text, "add_special": is_prompt, "parse_special": is_prompt}
    answer = await ask(client, "POST", "/tokenize", body, timeout_seconds=_SECONDS)
    tokens = answer.get("tokens")
    if not isinstance(tokens, list):
        raise EngineError("/tokenize answered without tokens")
    return len(tokens)


def _count(answer: Mapping[str, Any]) -> int:
    count = answer.get("count")
    if not isinstance(count, int):
        raise EngineError("/tokenize answered without a count")
    return count
