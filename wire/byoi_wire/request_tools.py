"""The parts of a request that an engine compiles: tools, formats and their JSON schemas.

A schema becomes a grammar inside the engine, and a malformed or an exploding one has brought
engines down (CVE-2025-48942 to -48944), so its keywords are looked at before it gets there.
"""

from __future__ import annotations

import json
import re
from math import prod
from typing import TYPE_CHECKING, Final

from byoi_wire.request_rules import (
    Check,
    array,
    boolean,
    list_of,
    object_of,
    one_of,
    record,
    refuse,
    string,
    tagged,
    text_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

TOOLS_LIMIT: Final = 128
SCHEMA_LIMIT_BYTES: Final = 64 * 1024
BRANCHES_LIMIT: Final = 1024
PATTERN_LIMIT: Final = 512
REPETITION_LIMIT: Final = 10_000
"""What a pattern's counted repetitions may multiply up to; engines unroll them into automata."""

_TYPES: Final = frozenset({"string", "number", "integer", "boolean", "object", "array", "null"})
_name: Final = string(256)
_type: Final = _name
_text: Final = string(SCHEMA_LIMIT_BYTES)


def json_schema(value: object, place: str) -> None:
    """A schema that an engine may compile into a grammar without being brought down by it."""
    schema = object_of(value, place)
    if len(json.dumps(schema)) > SCHEMA_LIMIT_BYTES:
        refuse(place, f"larger than {SCHEMA_LIMIT_BYTES} bytes", "invalid_json_schema")
    _walk_schema(schema, place)


_NAMED: Final = ("properties", "$defs", "definitions", "dependentSchemas", "patternProperties")
_LISTED: Final = ("anyOf", "oneOf", "allOf", "prefixItems")
_SINGLE: Final = (
    "items",
    "additionalProperties",
    "additionalItems",
    "unevaluatedProperties",
    "unevaluatedItems",
    "contains",
    "propertyNames",
    "not",
    "if",
    "then",
    "else",
)


def _walk_schema(schema: object, place: str) -> None:
    # The body's depth is bounded before this, so the recursion is as well.
    if isinstance(schema, bool):
        return
    keywords = object_of(schema, place)
    _check_keywords(keywords, place)
    for keyword in _NAMED:
        for name, inner in object_of(keywords.get(keyword, {}), f"{place}.{keyword}").items():
            _walk_schema(inner, f"{place}.{keyword}.{name[:64]}")
    for keyword in _LISTED:
        inner_place = f"{place}.{keyword}"
        for inner in list_of(keywords.get(keyword, []), inner_place, BRANCHES_LIMIT):
            _walk_schema(inner, inner_place)
    for keyword in _SINGLE:
        inner = keywords.get(keyword, True)
        for one in inner if keyword == "items" and isinstance(inner, list) else (inner,):
            _walk_schema(one, f"{place}.{keyword}")


def _check_keywords(keywords: Mapping[str, object], place: str) -> None:
    kind = keywords.get("type")
    for name in kind if isinstance(kind, list) else ("null" if kind is None else kind,):
        if not isinstance(name, str) or name not in _TYPES:
            refuse(f"{place}.type", "not a type of JSON schema", "invalid_json_schema")
    if "pattern" in keywords:
        _pattern(keywords["pattern"], f"{place}.pattern")
    for pattern in object_of(keywords.get("patternProperties", {}), f"{place}.patternProperties"):
        _pattern(pattern, f"{place}.patternProperties")
    reference = keywords.get("$ref", "#")
    if not isinstance(reference, str) or not reference.startswith("#"):
        refuse(f"{place}.$ref", "only references within the schema", "invalid_json_schema")


def _pattern(value: object, place: str) -> None:
    text = text_of(value, place, PATTERN_LIMIT)
    counts = [int(count) for count in re.findall(r"\{(?:[0-9]*,)?([0-9]+),?\}", text)]
    if prod(max(count, 1) for count in counts) > REPETITION_LIMIT:
        refuse(place, f"repetitions multiply beyond {REPETITION_LIMIT}", "invalid_json_schema")


_function: Final[Mapping[str, Check]] = {
    "name": string(64),
    "description": _text,
    "parameters": json_schema,
    "strict": boolean,
}

tools: Final = array(
    tagged(
        {"function": record({"type": _type, "function": record(_function, "name")}, "function")}
    ),
    TOOLS_LIMIT,
)
"""Functions that a chat may call; grammars (`custom`) are not among what an engine is given."""

response_tools: Final = array(
    tagged({"function": record({"type": _type, **_function}, "name")}),
    TOOLS_LIMIT,
)
"""The same for the responses route, which has the function's fields beside `type`."""

_format_schema: Final[Mapping[str, Check]] = {
    "name": string(64),
    "description": _text,
    "schema": json_schema,
    "strict": boolean,
}

response_format: Final = tagged(
    {
        "text": record({"type": _type}),
        "json_object": record({"type": _type}),
        "json_schema": record(
            {"type": _type, "json_schema": record(_format_schema, "name")}, "json_schema"
        ),
    }
)

response_text: Final = record(
    {
        "format": tagged(
            {
                "text": record({"type": _type}),
                "json_object": record({"type": _type}),
                "json_schema": record({"type": _type, **_format_schema}, "name", "schema"),
            }
        ),
        "verbosity": one_of("low", "medium", "high"),
    }
)

_choice: Final = one_of("none", "auto", "required")


def tool_choice(value: object, place: str) -> None:
    """Which tool a chat must call: a word, or one function by its name."""
    if isinstance(value, str):
        _choice(value, place)
    else:
        _chosen(value, place)


def response_tool_choice(value: object, place: str) -> None:
    """The same for the responses route."""
    if isinstance(value, str):
        _choice(value, place)
    else:
        _response_chosen(value, place)


_chosen: Final = tagged(
    {"function": record({"type": _type, "function": record({"name": _name}, "name")}, "function")}
)
_response_chosen: Final = tagged({"function": record({"type": _type, "name": _name}, "name")})
