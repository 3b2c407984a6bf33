"""Reference pages read off the programs: commands, exit codes, settings and HTTP interfaces."""
# ruff: noqa: INP001, ANN401 (the documentation is no package; click's parameters are of any type)

from __future__ import annotations

import inspect
import re
import sys
from typing import TYPE_CHECKING, Any

import click
import control
import tables
from pydantic import TypeAdapter

from byoi_agent.cli.main import EXIT_CODES as AGENT_CODES
from byoi_agent.cli.outputs import OUTPUTS
from byoi_agent.cli.program import byoi
from byoi_agent.config import settings as agent_settings
from byoi_agent.config.tables import (
    AdapterSetting,
    ModelSetting,
    Prices,
    Tariff,
    TariffWindow,
)
from byoi_agent.config.update import Update
from byoi_agent.control import metrics as agent_figures
from byoi_console import config as console_settings
from byoi_console.api.app import ROOMS
from byoi_console.cli.main import EXIT_CODES as CONSOLE_CODES
from byoi_console.cli.main import cli as byoi_console
from byoi_console.telemetry.metrics import Facts, Tally
from byoi_wire.requests import ROUTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pydantic import BaseModel
    from starlette.routing import Route


PROGRAMS = {"byoi": byoi, "byoi-console": byoi_console}
_TABLES = (ModelSetting, AdapterSetting, Prices, Tariff, TariffWindow, Update)
_SUFFIX = {"counter": "_total"}
_METRIC = re.compile(r'"(byoi_\w+)"[,:]\s*\(?\s*"([^"]+)"')
_BODY = re.compile(r"body_of\(request, (\w+)\)")


def commands(program: str) -> str:
    """Every command of a program, with its flags."""
    return "\n\n".join(_command(name, command) for name, command in _walk(program))


def every_command(program: str) -> dict[str, click.Command]:
    """Commands by the words that call them."""
    return dict(_walk(program))


def outputs() -> str:
    """What every command prints for programs."""
    return "\n\n".join(_output(words, OUTPUTS[words]) for words in OUTPUTS)


def _output(words: str, kind: Any) -> str:
    kinds = getattr(kind, "__args__", (kind,))
    parts = [f"## byoi {words}"]
    if getattr(kind, "__origin__", None) is list:
        parts.append("A list, of which each is:")
    elif len(kinds) > 1:
        parts.append("One of these:")
    for each in kinds:
        schema = TypeAdapter(each).json_schema(mode="serialization")
        parts.append(_properties(schema))
    return "\n\n".join(parts)


def _properties(schema: dict[str, Any]) -> str:
    rows = ["| field | type |", "| --- | --- |"]
    rows += [
        f"| `{name}` | {_cell(_json_type(facts))} |" for name, facts in schema["properties"].items()
    ]
    if schema.get("additionalProperties") is True:
        rows.append("| … | more fields, as they are named |")
    return "\n".join(rows)


def _json_type(facts: dict[str, Any]) -> str:
    if "anyOf" in facts:
        return " or ".join(_json_type(each) for each in facts["anyOf"])
    if "$ref" in facts:
        return f"object {facts['$ref'].rpartition('/')[2]}"
    if "const" in facts or "enum" in facts:
        return " or ".join(f'"{each}"' for each in facts.get("enum", [facts.get("const")]))
    if facts.get("type") == "array":
        return f"list of {_json_type(facts.get('items', {}))}"
    return str(facts.get("type", "anything"))


def exit_codes(codes: Mapping[int, str]) -> str:
    """What each exit code means."""
    rows = ["| code | meaning |", "| ---: | --- |"]
    return "\n".join(rows + [f"| {code} | {meaning} |" for code, meaning in codes.items()])


def agent_exit_codes() -> str:
    """Those of `byoi`."""
    return exit_codes(AGENT_CODES)


def console_exit_codes() -> str:
    """Those of `byoi-console`."""
    return exit_codes(CONSOLE_CODES)


def agent_configuration() -> str:
    """Every setting of the node; a reload takes over those that are marked."""
    return _settings(agent_settings.Settings, agent_settings, agent_settings.LIVE)


def console_configuration() -> str:
    """Every setting of the console."""
    return _settings(console_settings.Settings, console_settings, frozenset())


def console_api(*prefixes: str) -> str:
    """The console's routes below some paths, and the bodies that they take."""
    routes = sorted(_console_routes(), key=lambda route: (route.path, sorted(route.methods or ())))
    return _routes([route for route in routes if route.path.startswith(prefixes)])


def gateway() -> str:
    """What `/v1` answers."""
    rows = ["| | path | streams |", "| --- | --- | --- |"]
    rows += [f"| POST | `{p}` | {'yes' if r.streams else 'no'} |" for p, r in ROUTES.items()]
    rows += ["| GET | `/v1/models` | no |", "| GET | `/v1/models/{id}` | no |"]
    return "\n".join(rows)


def control_api() -> str:
    """What a running node answers on its own machine."""
    routes = sorted(control.every_route(), key=lambda route: (route.path, route.method))
    rows = [f"| {each.method} | `{each.path}` | {_first_line(each.summary)} |" for each in routes]
    return "\n".join(["| | path | what |", "| --- | --- | --- |", *rows])


def console_metrics() -> str:
    """What the console's `/metrics` shows."""
    tally = Tally()
    numbers = dict.fromkeys(Facts.__dataclass_fields__, 0)
    facts = Facts(**{**numbers, "version": "", "nodes": {}, "wrong_credentials": {}})  # type: ignore[arg-type]
    families = [*tally.collect(), *facts.collect()]
    return _metrics((f"{f.name}{_SUFFIX.get(f.type, '')}", f.documentation) for f in families)


def agent_metrics() -> str:
    """What the node's `/metrics` shows."""
    found = _METRIC.findall(inspect.getsource(agent_figures))
    return _metrics(dict(found).items())


def _metrics(rows: Iterable[tuple[str, str]]) -> str:
    told = [f"| `{name}` | {text.rstrip('.')} |" for name, text in rows]
    return "\n".join(["| name | what |", "| --- | --- |", *told])


def _walk(program: str) -> Iterator[tuple[str, click.Command]]:
    pending = [(program, PROGRAMS[program])]
    while pending:
        words, command = pending.pop(0)
        if not isinstance(command, click.Group):
            yield words, command
            continue
        context = click.Context(command, info_name=words)
        names = command.list_commands(context)
        found = [(name, command.get_command(context, name)) for name in names]
        pending[:0] = [(f"{words} {name}", each) for name, each in found if each is not None]


def _command(words: str, command: click.Command) -> str:
    text = inspect.cleandoc(command.help or "")
    arguments = [p for p in command.params if isinstance(p, click.Argument)]
    usage = " ".join([words, *(_argument(each) for each in arguments)])
    parts = [f"## {words}", text, f"```text\n{usage} [OPTIONS]\n```"]
    options = [p for p in command.params if isinstance(p, click.Option) and not p.hidden]
    if options:
        rows = ["| option | what |", "| --- | --- |"]
        parts.append("\n".join(rows + [_option(option) for option in options]))
    return "\n\n".join(parts)


def _argument(argument: click.Argument) -> str:
    name = (argument.name or "").upper()
    return name if argument.required else f"[{name}]"


def _option(option: click.Option) -> str:
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    if not option.is_flag:
        names += f" {_kind(option)}"
    told = " ".join((option.help or "").split())
    required = " Required." if option.required else ""
    return f"| {names} | {_cell(told)}{required} |"


def _kind(option: click.Option) -> str:
    if isinstance(option.type, click.Choice):
        return " or ".join(f"`{choice}`" for choice in option.type.choices)
    return str(option.metavar or option.type.name).upper()


def _settings(model: type[BaseModel], module: Any, live: frozenset[str]) -> str:
    rows = ["| setting | flag | variable | default | what |", "| --- | --- | --- | --- | --- |"]
    for name, facts in model.model_fields.items():
        default = facts.default if facts.default_factory is None else None
        shown = "" if default in {None, ()} else f"`{default}`".lower()
        mark = " ↻" if name in live else ""
        # A secret has no flag: every user of a machine can read a command line.
        is_table = name in getattr(module, "TABLES", ())
        has_flag = name not in getattr(module, "SECRETS", ()) and not is_table
        flag = f"`{module.flag_of(name)}`" if has_flag else "none"
        variable = "none" if is_table else f"`{module.variable_of(name)}`"
        told = _cell(facts.description or "")
        rows.append(f"| `{name}`{mark} | {flag} | {variable} | {shown} | {told} |")
    return "\n".join(rows)


def agent_tables() -> str:
    """The settings that are tables of the file."""
    return "\n\n".join(_table_of(table) for table in _TABLES)


def _table_of(model: type[BaseModel]) -> str:
    rows = ["| key | type | default | what |", "| --- | --- | --- | --- |"]
    for name, facts in model.model_fields.items():
        default = "needed" if facts.is_required() else ""
        if facts.default and not facts.is_required() and not isinstance(facts.default, tuple):
            default = f"`{facts.default}`"
        kind = tables.kind(facts.annotation, facts.metadata)
        rows.append(f"| `{name}` | {kind} | {default} | {_cell(facts.description or '')} |")
    return "\n".join([f"`{model.__name__}`: {tables.sentence(model)}", "", *rows])


def _console_routes() -> Iterator[Route]:
    for room in ROOMS:
        yield from room(None).routes  # type: ignore[arg-type] # only its list is asked for


def _routes(routes: list[Route]) -> str:
    rows = ["| | path | what | body |", "| --- | --- | --- | --- |"]
    bodies: dict[str, type[BaseModel]] = {}
    for route in routes:
        endpoint: Any = route.endpoint
        method = " ".join(sorted((route.methods or set()) - {"HEAD"}))
        found = _BODY.search(inspect.getsource(endpoint))
        body = ""
        if found is not None:
            body = f"`{found[1]}`"
            bodies[found[1]] = getattr(sys.modules[endpoint.__module__], found[1])
        told = _cell(_first_line(endpoint.__doc__ or ""))
        rows.append(f"| {method} | `{route.path}` | {told} | {body} |")
    parts = [f"`{n}`: {tables.sentence(m)}\n\n{tables.fields(m)}" for n, m in bodies.items()]
    return "\n\n".join(["\n".join(rows), *parts])


def _first_line(text: str) -> str:
    return inspect.cleandoc(text).partition("\n")[0]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
