"""The control API's reference: each route of a node with all that it takes, answers and refuses."""
# ruff: noqa: INP001 (the documentation is no package)

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from byoi_agent.control.openapi import describe
from byoi_agent.control.routes import dashboard
from byoi_agent.control.routing import Nothing
from byoi_agent.control.services import ControlServices, routes_of

if TYPE_CHECKING:
    from byoi_agent.control.routing import Route, Routes

_EVERYWHERE = {"401", "403", "408", "413", "500", "503"}
"""Told once, above the routes."""


def every_route() -> Routes:
    """The routes of a node that can be asked everything; nobody asks it."""
    given = dict.fromkeys(ControlServices.__dataclass_fields__, object())
    routes = routes_of(ControlServices(**given))  # type: ignore[arg-type]
    dashboard.add(routes, lambda: "", lambda: 0)
    return routes


def routes() -> str:
    """All routes, by the first word of their path."""
    table = sorted(every_route(), key=lambda route: (_subject(route), route.path, route.method))
    document = describe(table)
    parts = []
    for subject, group in groupby(table, key=_subject):
        parts.append(f"## {subject}")
        parts += [_told(route, document) for route in group]
    return "\n\n".join(parts)


def schemas() -> str:
    """What the bodies and answers are made of."""
    document = describe(sorted(every_route(), key=lambda route: (route.path, route.method)))
    found = document["components"]["schemas"]
    return "\n\n".join(
        _schema(name, schema) for name, schema in sorted(found.items()) if "properties" in schema
    )


def _subject(route: Route[Any]) -> str:
    return route.path.removeprefix("/api/").lstrip("/").partition("/")[0]


def _told(route: Route[Any], document: dict[str, Any]) -> str:
    operation = document["paths"][route.path][route.method.lower()]
    lines = [f"### {route.method} `{route.path}`", "", route.summary]
    asked = [one for one in operation["parameters"] if one["in"] == "query"]
    if asked:
        names = ", ".join(f"`{one['name']}` ({_kind(one['schema'])})" for one in asked)
        lines += ["", f"In the query: {names}."]
    if "requestBody" in operation:
        lines += ["", f"Takes {_link(route.takes.__name__)}."]
    media = "" if route.media == "application/json" else f" as `{route.media}`"
    if route.answers is not Nothing:
        lines += ["", f"Answers {route.status} with {_link(route.answers.__name__)}{media}."]
    else:
        lines += ["", f"Answers {route.status}{media}."]
    refusals = [
        f"- {status}: {answer['description'][0].lower()}{answer['description'][1:].rstrip('.')}"
        for status, answer in operation["responses"].items()
        if status != str(route.status) and status not in _EVERYWHERE
    ]
    if refusals:
        lines += ["", "Refuses with", "", *refusals]
    return "\n".join(lines)


def _schema(name: str, schema: dict[str, Any]) -> str:
    told = " ".join(str(schema.get("description", "")).replace("\n\n", "\n").split("\n"))
    rows = [
        f"| `{field}` | {_kind(facts)} | {facts.get('description', '')} |"
        for field, facts in schema["properties"].items()
    ]
    return "\n".join(
        [f"### {name}", "", told, "", "| field | type | what |", "| --- | --- | --- |", *rows]
    )


def _kind(facts: dict[str, Any]) -> str:
    if "$ref" in facts:
        return _link(facts["$ref"].rpartition("/")[2])
    if "anyOf" in facts:
        return " or ".join(_kind(each) for each in facts["anyOf"])
    if "enum" in facts:
        return ", ".join(f"`{each}`" for each in facts["enum"])
    if "const" in facts:
        return f"`{facts['const']}`"
    if facts.get("type") == "array":
        return f"list of {_kind(facts.get('items', {}))}"
    return str(facts.get("type", "anything"))


def _link(name: str) -> str:
    return f"[{name}](#{name.lower()})"
