"""The link's reference tables, read off the code that both ends run: limits, frames, messages."""
# ruff: noqa: INP001, ANN401 (the documentation is no package; annotations are of any type)

from __future__ import annotations

import ast
import inspect
import json
import re
import types
import typing
from typing import TYPE_CHECKING, Any, Literal

from byoi_wire import codec, messages, mux, usage, version
from byoi_wire.aio import connection

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel

LIMITS = (version, codec, mux, connection)
"""Modules whose public numbers are shown, in this order."""

UNTOLD = {
    "HANDSHAKE_SECONDS": "From the websocket's opening to `welcome`.",
    "PING_BUSY_SECONDS": "Between pings while streams are open.",
    "PING_IDLE_SECONDS": "Between pings while no stream is open.",
    "PING_IDLE_ANSWER_SECONDS": "The same while no stream is open.",
    "PINGS_MISSED": "Unanswered pings after which a link is dropped.",
    "LEASE_SECONDS": "How long a node's last sign of life counts for what people see.",
    "RENEW_SECONDS": "Between renewals of the lease.",
    "HEADER_BYTES": "A frame's header.",
    "REASON_LIMIT_BYTES": "Longest reason in RESET; more is cut off.",
    "GOODBYE_SECONDS": "How long a close waits to be heard.",
}
"""Sentences for numbers whose names say enough in the code."""

_PLAIN = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    type(None): "null",
}
_KIB = 1024


def limits() -> str:
    """Every public number of the protocol, with the sentence that stands below it in the code."""
    rows = ["| name | value | what it bounds |", "| --- | ---: | --- |"]
    for module in LIMITS:
        for name, text in _numbers(module):
            if told := text or UNTOLD.get(name):
                rows.append(f"| `{name}` | {_number(name, getattr(module, name))} | {told} |")
    return "\n".join(rows)


def frames() -> str:
    """The first byte of each frame."""
    rows = ["| frame | type |", "| --- | ---: |"]
    rows += [f"| {kind.name} | {kind.value} |" for kind in messages.FrameType]
    return "\n".join(rows)


def flags() -> str:
    """The second byte of a DATA frame."""
    rows = ["| flag | bit |", "| --- | ---: |"]
    rows += [f"| {flag.name} | {flag.value} |" for flag in messages.DataFlag]
    return "\n".join(rows)


def reset_codes() -> str:
    """Why a stream is cut."""
    texts = _texts_below(messages, "ResetCode")
    rows = ["| code | number | meaning |", "| --- | ---: | --- |"]
    rows += [
        f"| {code.name.lower()} | {code.value} | {texts[code.name]} |"
        for code in messages.ResetCode
    ]
    return "\n".join(rows)


def heads() -> str:
    """The JSON inside OPEN, HEAD and an END from a node."""
    models = (
        ("OPEN", messages.OpenHead),
        ("HEAD", messages.AnswerHead),
        ("END", messages.Trailer),
    )
    return "\n\n".join(_section(f"{frame}: `{m.__name__}`", m, {m}) for frame, m in models)


def control() -> str:
    """Every control message; what they are made of follows the first that holds it."""
    shown: set[type[BaseModel]] = set()
    return "\n\n".join(
        _section(f"`{model.model_fields['type'].default}`", model, shown)
        for model in typing.get_args(messages.ControlMessage)
    )


def records() -> str:
    """What the bytes of a signed usage record hold."""
    return _section("`UsageRecord`", usage.UsageRecord, {usage.UsageRecord})


def _section(title: str, model: type[BaseModel], shown: set[type[BaseModel]]) -> str:
    parts = [f"### {title}", sentence(model), fields(model)]
    for part in _models_in(model):
        if part not in shown:
            shown.add(part)
            parts += [f"`{part.__name__}`: {sentence(part)}", fields(part)]
    return "\n\n".join(parts)


def fields(model: type[BaseModel]) -> str:
    """A model's fields as a table."""
    rows = ["| field | type | if left out |", "| --- | --- | --- |"]
    for name, facts in model.model_fields.items():
        if name == "type":
            continue
        left_out = "not allowed" if facts.is_required() else f"`{_shown(facts.default)}`"
        rows.append(f"| `{name}` | {kind(facts.annotation, facts.metadata)} | {left_out} |")
    return "\n".join(rows)


def _models_in(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for facts in model.model_fields.values():
        for part in _parts(facts.annotation):
            if isinstance(part, type) and hasattr(part, "model_fields"):
                yield part
                yield from _models_in(part)


def _parts(annotation: Any) -> Iterator[Any]:
    yield annotation
    for part in typing.get_args(annotation):
        yield from _parts(part)


def kind(annotation: Any, metadata: list[Any]) -> str:
    """A type in JSON's words."""
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in {typing.Union, types.UnionType}:
        return " or ".join(kind(part, [] if part is type(None) else metadata) for part in parts)
    if origin is typing.Annotated:
        return kind(parts[0], [*metadata, *parts[1:]])
    if origin is not None:
        shapes = {
            Literal: " ".join(f"`{part}`" for part in parts),
            tuple: f"array of {kind(parts[0], [])}" if origin is tuple else "",
            dict: "object of strings",
        }
        return shapes[origin]
    if hasattr(annotation, "__supertype__"):
        return f"{kind(annotation.__supertype__, metadata)} ({annotation.__name__})"
    return f"{_PLAIN.get(annotation) or f'`{annotation.__name__}`'}{_bounds(metadata)}"


def _bounds(metadata: list[Any]) -> str:
    found = {}
    for entry in metadata:
        inner = getattr(entry, "metadata", [entry])  # a Field keeps its bounds inside
        for bound in inner:
            for name, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<")):
                if (value := getattr(bound, name, None)) is not None:
                    found[sign] = value
    return "".join(f" {sign} {_power(value)}" for sign, value in found.items())


def _power(value: int) -> str:
    if value >= 2**20 and not value & (value - 1):
        return f"2^{value.bit_length() - 1}"
    return str(value)


def _shown(default: Any) -> str:
    if default is None:
        return "null"
    if hasattr(default, "model_dump_json"):
        return "all zero"
    return json.dumps(default)


def sentence(thing: object) -> str:
    """Its docstring on one line."""
    return " ".join((inspect.getdoc(thing) or "").split())


def _numbers(module: types.ModuleType) -> Iterator[tuple[str, str]]:
    texts = _texts_below(module)
    for name in texts:
        if name.isupper() and not name.startswith("_"):
            value = getattr(module, name)
            if isinstance(value, int | float) and not isinstance(value, bool):
                yield name, texts[name]


def _number(name: str, value: float) -> str:
    if name.endswith("_BYTES") and value >= _KIB and value % _KIB == 0:
        return f"{int(value) // _KIB} KiB"
    if name.endswith("_BYTES"):
        return f"{value} B"
    return f"{value:g} s" if name.endswith("_SECONDS") else _power(int(value))


def _texts_below(module: types.ModuleType, inside: str | None = None) -> dict[str, str]:
    """Names assigned in a module, or in one of its classes, with the string that stands below."""
    body: list[ast.stmt] = ast.parse(inspect.getsource(module)).body
    if inside is not None:
        body = next(n.body for n in body if isinstance(n, ast.ClassDef) and n.name == inside)
    texts: dict[str, str] = {}
    name = ""
    for node in body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            name = ast.unparse(target)
            texts[name] = ""
        elif name and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            texts[name] = re.sub(r"\s+", " ", str(node.value.value)).strip()
            name = ""
        else:
            name = ""
    return texts
