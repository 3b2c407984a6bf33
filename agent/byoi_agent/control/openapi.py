"""The control API as an OpenAPI 3.1 document, read off the table of routes."""

from __future__ import annotations

import importlib.metadata
import re
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import BaseModel, ConfigDict
from pydantic.json_schema import models_json_schema

from byoi_agent.control.routing import Nothing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from byoi_agent.control.routing import Route

_REF: Final = "#/components/schemas/{model}"
_PLACE: Final = re.compile(r"\{(\w+)\}")
_JSON: Final = "application/json"
_EVERYWHERE: Final = {
    401: "by loopback: neither the control token nor a browser's session was shown",
    403: "by loopback: a web page of somebody else asks, or a page of ours without its word",
    500: "a fault of the agent; its log has the details",
    503: "the node cannot now; the message says why",
}
_WITH_BODY: Final = {
    408: "the body took too long to arrive",
    413: "the body is larger than any that is meant",
}

Mode = Literal["validation", "serialization"]
_Schemas = dict[tuple[type[BaseModel], Mode], dict[str, Any]]


class Fault(BaseModel):
    """Why it was refused, in a sentence for the owner."""

    model_config = ConfigDict(frozen=True)

    message: str


class Refused(BaseModel):
    """The one form of every refusal."""

    model_config = ConfigDict(frozen=True)

    error: Fault


def describe(routes: Iterable[Route[Any]]) -> dict[str, Any]:
    """The whole document."""
    table = tuple(routes)
    schemas, definitions = _schemas_of(table)
    paths: dict[str, dict[str, Any]] = {}
    for route in table:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "byoi control API",
            "version": importlib.metadata.version("byoi-agent"),
            "description": "The owner's way into a running node, on this machine only.",
        },
        "paths": paths,
        "components": {
            "schemas": definitions,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    }


def _schemas_of(table: tuple[Route[Any], ...]) -> tuple[_Schemas, dict[str, Any]]:
    wanted: list[tuple[type[BaseModel], Mode]] = [(Refused, "serialization")]
    for route in table:
        wanted += [(route.takes, "validation"), (route.answers, "serialization")]
    found, whole = models_json_schema(list(dict.fromkeys(wanted)), ref_template=_REF)
    schemas: Any = found  # whose type has room for dataclasses too
    return schemas, whole.get("$defs", {})


def _operation(route: Route[Any], schemas: _Schemas) -> dict[str, Any]:
    takes = schemas[route.takes, "validation"]
    has_body = route.method in {"PUT", "POST"} and route.takes is not Nothing
    told: dict[str, Any] = {
        "operationId": _name_of(route),
        "summary": route.summary,
        "parameters": [*_places(route.path), *([] if has_body else _query(route.takes))],
        "responses": _responses(route, schemas, has_body=has_body),
    }
    if has_body:
        told["requestBody"] = {
            "required": any(field.is_required() for field in route.takes.model_fields.values()),
            "content": {_JSON: {"schema": takes}},
        }
    return told


def _responses(route: Route[Any], schemas: _Schemas, *, has_body: bool) -> dict[str, Any]:
    content: Mapping[str, Any] = {}
    if route.media == _JSON:
        content = {_JSON: {"schema": schemas[route.answers, "serialization"]}}
    else:
        content = {route.media: {"schema": {"type": "string"}}}
    responses = {str(route.status): {"description": "As asked.", "content": content}}
    for status, when in sorted(refusals_of(route, has_body=has_body).items()):
        form = {_JSON: {"schema": schemas[Refused, "serialization"]}}
        responses[str(status)] = {"description": f"{when[0].upper()}{when[1:]}.", "content": form}
    return responses


def refusals_of(route: Route[Any], *, has_body: bool) -> dict[int, str]:
    """Every status that the route may refuse with, and when."""
    told = dict(_EVERYWHERE)
    if has_body:
        told |= _WITH_BODY
    if route.takes is not Nothing:
        told[400] = "what was sent does not fit" + (f": {route.expects}" if route.expects else "")
    for refuses in route.refuses:
        told[refuses.status] = refuses.when
    return told


def _name_of(route: Route[Any]) -> str:
    words = re.findall(r"\w+", route.path.removeprefix("/api"))
    return "_".join([route.method.lower(), *words])


def _places(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PLACE.findall(path)
    ]


def _query(takes: type[BaseModel]) -> list[dict[str, Any]]:
    schema = takes.model_json_schema(ref_template=_REF)
    return [
        {
            "name": name,
            "in": "query",
            "required": name in schema.get("required", ()),
            "schema": {key: value for key, value in facts.items() if key != "title"},
        }
        for name, facts in schema.get("properties", {}).items()
    ]
