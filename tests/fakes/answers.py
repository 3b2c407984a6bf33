"""What the stand-in engine says: the same request always gets the same answer.

A token is a word with its space, so that anybody can count: text has as many tokens as words.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import operator
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

STORY = """
the tide comes in and carries small boats past the old harbour wall while gulls wait for bread that
nobody throws before noon because the baker sleeps until the church bell rings over blue roofs where
cats watch every shadow move slowly toward evening
"""
WORDS = tuple(STORY.split())
EMBEDDING_DIMENSIONS = 16
DEFAULT_TOKENS = 16


@dataclass(frozen=True)
class Answer:
    """One answer before it is put into any of OpenAI's forms; `pieces` are its tokens."""

    pieces: tuple[str, ...]
    finish_reason: str
    prompt_tokens: int
    tools: tuple[str, ...] = ()
    """The functions to call, each with `pieces` as its arguments."""

    @property
    def tool(self) -> str | None:
        """The first of them."""
        return next(iter(self.tools), None)

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def tokens(self) -> int:
        return len(self.pieces) * max(len(self.tools), 1)

    def usage(self, produced: int | None = None) -> dict[str, Any]:
        completion = self.tokens if produced is None else produced
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": completion,
            "total_tokens": self.prompt_tokens + completion,
            "prompt_tokens_details": {"cached_tokens": 0},
        }


def count_tokens(text: str) -> int:
    return len(text.split())


def prompt_of(request: dict[str, Any]) -> str:
    """All that the client said, whatever route it came by."""
    if "messages" in request:
        return " ".join(_text_of(message.get("content")) for message in request["messages"])
    if "input" in request:
        given = request["input"]
        if isinstance(given, str):
            return given
        return " ".join(
            part if isinstance(part, str) else _text_of(part.get("content"))
            for part in given
            if isinstance(part, str | dict)
        )
    return _text_of(request.get("prompt"))


def answer(request: dict[str, Any]) -> Answer:
    """What to say: a call where functions are offered, JSON where a schema is, else words."""
    prompt = prompt_of(request)
    prompt_tokens = count_tokens(prompt)
    if functions := _functions_to_call(request):
        arguments = json.dumps(minimal(functions[0].get("parameters") or {"type": "object"}))
        names = tuple(function["name"] for function in functions)
        return Answer(_cut(arguments), "tool_calls", prompt_tokens, names)
    if (schema := _schema(request)) is not None:
        return Answer(_cut(json.dumps(minimal(schema))), "stop", prompt_tokens)
    asked = next(
        (
            request[name]
            for name in ("max_completion_tokens", "max_tokens", "max_output_tokens")
            if request.get(name) is not None
        ),
        None,
    )
    tokens = asked or DEFAULT_TOKENS
    start = int.from_bytes(hashlib.sha256(prompt.encode()).digest()[:4], "big")
    words = tuple(
        ("" if index == 0 else " ") + WORDS[(start + index) % len(WORDS)] for index in range(tokens)
    )
    return Answer(words, "length" if asked else "stop", prompt_tokens)


def minimal(schema: dict[str, Any], root: dict[str, Any] | None = None) -> Any:
    """The smallest value that a simple JSON schema allows; `root` is where `$ref` looks."""
    root = schema if root is None else root
    if "$ref" in schema:
        steps = schema["$ref"].removeprefix("#/").split("/")
        return minimal(functools.reduce(operator.getitem, steps, root), root)
    for name in ("const", "default"):
        if name in schema:
            return schema[name]
    for name in ("anyOf", "oneOf", "allOf"):
        if name in schema:
            return minimal(schema[name][0], root)
    kind = schema.get("type", "object")
    kind = kind[0] if isinstance(kind, list) else kind
    return schema["enum"][0] if "enum" in schema else _MINIMAL[kind](schema, root)


def _minimal_object(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    properties = schema.get("properties", {})
    wanted = schema.get("required", list(properties))
    return {name: minimal(properties.get(name, {}), root) for name in wanted}


def _minimal_array(schema: dict[str, Any], root: dict[str, Any]) -> list[Any]:
    item = minimal(schema.get("items", {"type": "string"}), root)
    return [item] * max(schema.get("minItems", 1), 1)


def _minimal_string(schema: dict[str, Any], _: dict[str, Any]) -> str:
    return "harbour".ljust(schema.get("minLength", 0), "r")[: schema.get("maxLength", 64)]


_MINIMAL: dict[str, Callable[[dict[str, Any], dict[str, Any]], Any]] = {
    "object": _minimal_object,
    "array": _minimal_array,
    "string": _minimal_string,
    "integer": lambda schema, _: schema.get("minimum", schema.get("exclusiveMinimum", 6) + 1),
    "number": lambda schema, _: float(schema.get("minimum", 7.5)),
    "boolean": lambda *_: True,
    "null": lambda *_: None,
}


def embedding(text: str, encoding: str) -> list[float] | str:
    """A unit vector that depends on the text alone; base64 of little-endian floats if asked."""
    digest = hashlib.sha256(text.encode()).digest()[:EMBEDDING_DIMENSIONS]
    raw = [byte - 127.5 for byte in digest]
    length = sum(value * value for value in raw) ** 0.5
    vector = [value / length for value in raw]
    if encoding == "base64":
        return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
    return vector


def logprobs(pieces: tuple[str, ...], top: int) -> dict[str, Any]:
    """OpenAI's `logprobs` object for some tokens."""

    def one(token: str, logprob: float) -> dict[str, Any]:
        return {"token": token, "logprob": logprob, "bytes": list(token.encode())}

    content = [
        one(piece, -0.25)
        | {"top_logprobs": [one(piece, -0.25), *(one(word, -2.5) for word in WORDS)][:top]}
        for piece in pieces
    ]
    return {"content": content, "refusal": None}


def _text_of(content: Any) -> str:
    if isinstance(content, list):
        return " ".join(
            part if isinstance(part, str) else str(part.get("text", ""))
            for part in content
            if isinstance(part, str | dict)
        )
    return content if isinstance(content, str) else ""


def _functions_to_call(request: dict[str, Any]) -> list[dict[str, Any]]:
    """The chosen one, else the first; all that a chat offers where it asks for parallel calls."""
    functions = [
        tool.get("function", tool) for tool in request.get("tools") or () if "name" in str(tool)
    ]
    choice = request.get("tool_choice", "auto")
    messages = request.get("messages") or request.get("input") or ()
    last = messages[-1] if isinstance(messages, list) and messages else {}
    has_result = isinstance(last, dict) and (
        last.get("role") == "tool" or last.get("type") == "function_call_output"
    )
    if not functions or choice == "none" or has_result:
        return []
    if isinstance(choice, dict):
        name = choice.get("function", choice).get("name")
        return [one for one in functions if one["name"] == name][:1] or functions[:1]
    is_parallel = "messages" in request and request.get("parallel_tool_calls") is True
    return functions if is_parallel else functions[:1]


def _schema(request: dict[str, Any]) -> dict[str, Any] | None:
    chosen = request.get("response_format") or request.get("text", {}).get("format") or {}
    if chosen.get("type") == "json_object":
        return {"type": "object", "properties": {"answer": {"type": "string"}}}
    if chosen.get("type") == "json_schema":
        return chosen.get("json_schema", chosen)["schema"]
    return None


def _cut(text: str) -> tuple[str, ...]:
    return tuple(text[at : at + 5] for at in range(0, len(text), 5))
