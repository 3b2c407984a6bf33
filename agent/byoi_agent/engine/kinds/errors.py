"""Engines' errors in OpenAI's form and in our words: an engine's own text reaches no client."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from byoi_wire.requests import openai_error

if TYPE_CHECKING:
    from collections.abc import Callable

_INVALID: Final = "invalid_request_error"
_Translation = tuple[int, dict[str, Any]]

_INPUT_OF: Final = {
    "/v1/chat/completions": ("messages", "your messages resulted in"),
    "/v1/completions": ("prompt", "your prompt resulted in"),
    "/v1/embeddings": ("input", "your input resulted in"),
    "/v1/responses": ("input", "your input resulted in"),
}


def translate(status: int, body: bytes, path: str) -> _Translation:
    """What a client is told of an engine's error.

    Whose fault it is decides: a request that the engine cannot take is the client's 400; anything
    else, a refused key included, is the node's and becomes a 5xx that may be tried elsewhere.
    """
    error = _error_of(body)
    text = _message(error)
    if isinstance(error, dict) and error.get("type") == "exceed_context_size_error":
        limit, count = error.get("n_ctx"), error.get("n_prompt_tokens")
        if isinstance(limit, int) and isinstance(count, int):  # llama.cpp, whatever its words
            return _too_long(limit, count, path)
    for pattern, answer in _KNOWN:
        if found := pattern.search(text):
            return answer(found, path)
    if status in {400, 413, 422}:
        return 400, openai_error("The model server refused the request as invalid.", type=_INVALID)
    if status in {429, 503}:
        busy = "The model server is busy or still loading."
        return 503, openai_error(busy, type="server_error", code="engine_not_ready")
    return 502, openai_error("The model server failed.", type="server_error", code="engine_error")


def _error_of(body: bytes) -> object:
    """Where the engines that we know keep their error; None when it is elsewhere."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return content.get("error", content) if isinstance(content, dict) else None


def _message(error: object) -> str:
    message = error.get("message") if isinstance(error, dict) else error
    return message if isinstance(message, str) else ""


def _too_long(limit: int, count: int, path: str) -> _Translation:
    param, resulted = _INPUT_OF.get(path, (None, "your messages resulted in"))
    message = (
        f"This model's maximum context length is {limit} tokens. However, {resulted} {count} "
        f"tokens. Please reduce the length of the {param or 'messages'}."
    )
    return 400, openai_error(message, type=_INVALID, param=param, code="context_length_exceeded")


def _invalid_field(found: re.Match[str], path: str) -> _Translation:  # noqa: ARG001
    name = found.group(1)
    return 400, openai_error(f"Invalid value for '{name}'.", type=_INVALID, param=name)


def _too_many(wanted: int, limit: int) -> _Translation:
    message = (
        f"max_tokens is too large: {wanted}. This model's context is {limit} tokens, "
        "prompt and answer together."
    )
    return 400, openai_error(message, type=_INVALID, param="max_tokens")


def _no_tools(found: re.Match[str], path: str) -> _Translation:  # noqa: ARG001
    return 400, openai_error("This model does not support tools.", type=_INVALID, param="tools")


def _no_media(found: re.Match[str], path: str) -> _Translation:
    param = _INPUT_OF.get(path, (None, ""))[0]
    message = f"This model does not accept {found.group(1)} input."
    return 400, openai_error(message, type=_INVALID, param=param)


def _no_schema(found: re.Match[str], path: str) -> _Translation:  # noqa: ARG001
    message = "The model server cannot enforce this schema."
    return 400, openai_error(message, type=_INVALID, param="response_format")


_KNOWN: Final[tuple[tuple[re.Pattern[str], Callable[[re.Match[str], str], _Translation]], ...]] = (
    (  # llama.cpp
        re.compile(r"\((\d+) tokens\) exceeds the available context size \((\d+) tokens\)"),
        lambda found, path: _too_long(int(found[2]), int(found[1]), path),
    ),
    (  # llama.cpp's embeddings; we set the batch to the context's size
        re.compile(r"input \((\d+) tokens\) is too large.*batch size: (\d+)\)"),
        lambda found, path: _too_long(int(found[2]), int(found[1]), path),
    ),
    (  # vLLM, SGLang
        re.compile(r"maximum context length is (\d+)\D.*?(\d+) (?:input )?tokens"),
        lambda found, path: _too_long(int(found[1]), int(found[2]), path),
    ),
    (  # vLLM
        re.compile(r"max_tokens=(\d{1,12}) cannot be greater than max_model_len=(\d{1,12})"),
        lambda found, _: _too_many(int(found[1]), int(found[2])),
    ),
    (re.compile(r"is not a (multimodal) model"), _no_media),  # vLLM
    (re.compile(r"tool choice requires|tool-call-parser"), _no_tools),  # vLLM
    (re.compile(r"^Field '([a-z_]{1,40})':"), _invalid_field),
    (re.compile(r"\(parameter=([a-z_]{1,40}), value="), _invalid_field),  # vLLM
    (re.compile(r"(image|audio|video) input is not supported"), _no_media),
    (re.compile(r"(?i)json.?schema|grammar"), _no_schema),
)
