"""`byoi models serve`: a model into the settings, or out of them, and the running node told."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from byoi_agent.cli.elsewhere import node_elsewhere, served
from byoi_agent.cli.options import choose, debug_option, json_option, place_of, setting_options
from byoi_agent.config.edit import serve_model, unserve_model
from byoi_agent.config.paths import expanded
from byoi_agent.config.settings import ENGINES, variable_of
from byoi_agent.control.instances import find
from byoi_agent.control.model_words import ServeOrder
from byoi_agent.engine.fitness import check_can_serve, engine_for, engine_of_its_own
from byoi_agent.engine.kinds.choice import is_managed
from byoi_agent.errors import ConfigError
from byoi_agent.models.catalogue import ModelEntry
from byoi_agent.models.names import reference_of
from byoi_agent.models.resolve import resolve
from byoi_agent.models.store import Store
from byoi_agent.sizes import on_disk

if TYPE_CHECKING:
    from byoi_agent.cli.options import Chosen
    from byoi_agent.control.schema import ReloadReport
    from byoi_agent.models.resolve import Model


@click.command(
    epilog="""\b
Examples:
  byoi models serve Qwen/Qwen3-0.6B
  byoi models serve owner/name-GGUF:Q4_K_M --context-tokens 8192 --priority 80
  byoi models serve ./my-model.gguf
  byoi models serve --stop Qwen/Qwen3-0.6B
"""
)
@click.argument("model")
@click.option("--stop", is_flag=True, help="Serve it no more.")
@click.option("--engine", help="The engine; what fits the model's files if unset.")
@click.option("--priority", type=click.IntRange(0, 100), help="Who stays loaded: higher.")
@click.option(
    "--load", type=click.Choice(["start", "demand"]), help="When, beside others.  [default: demand]"
)
@click.option("--context-tokens", type=click.IntRange(128, 10_000_000), help="Longest context.")
@click.option("--slots", type=click.IntRange(1, 4096), help="Requests run at once.")
@click.option("--no-reload", is_flag=True, help="Leave a running node as it is.")
@setting_options("data_dir", "cache_dir")
@json_option
@debug_option
def serve(
    model: str,
    *,
    stop: bool,
    engine: str | None,
    priority: int | None,
    load: str | None,
    context_tokens: int | None,
    slots: int | None,
    no_reload: bool,
    as_json: bool,
    **flags: object,
) -> None:
    """Serve MODEL, beside those that are served already, and tell a running node.

    MODEL is one that was pulled, one of the catalogue, a folder of safetensors, or a GGUF file. It
    is written into the configuration file; the first one as `model`, several as [[models]].
    """
    chosen = choose(flags)
    if (node := node_elsewhere(chosen)) is not None:
        if no_reload:
            raise click.UsageError("a node of another account takes it over at once")
        order = ServeOrder(
            engine=engine,
            priority=priority,
            load="start" if load == "start" else "demand" if load else None,
            context_tokens=context_tokens,
            slots=slots,
        )
        told = served(node, _named(model), None if stop else order)
        click.echo(json.dumps(told) if as_json else _taken_over(told))
        return
    file = place_of(flags)
    if stop:
        if not unserve_model(file, _named(model)):
            raise ConfigError(f"{file} does not name {model}; see: byoi config show")
        said = f"{file}: {model} is not served any more"
        _end(chosen, file, said, {"model": model, "served": False}, no_reload, as_json=as_json)
        return
    name = _named(model)
    found = resolve(name, Store(chosen.paths.models_folder), chosen.settings.remote_code)
    own = engine_of_its_own(chosen.settings, name)
    engine = engine or own or engine_for(found, chosen.settings.engine)
    if not is_managed(engine):
        raise click.UsageError(
            f"{engine!r} is no engine that is given models; use {ENGINES[0]} or "
            f"{ENGINES[1]}, or have a server attached: byoi engines use URL"
        )
    check_can_serve(chosen.settings, chosen.paths, name, engine)
    if not _has_others(chosen, name) and (priority is not None or load is not None):
        raise click.UsageError("--priority and --load mean something beside other models only")
    choices: dict[str, str | float | None] = {
        "context_tokens": context_tokens,
        "slots": slots,
        "priority": priority,
        "load": load,
        "engine": engine if own or engine != chosen.settings.engine else None,
    }
    serve_model(file, name, {key: value for key, value in choices.items() if value is not None})
    said = f"{file}: {found.id} is served by {engine}" + _how_long(found)
    answer = {"model": name, "id": found.id, "engine": engine, "served": True}
    _end(chosen, file, said, answer, no_reload, as_json=as_json)


def _taken_over(told: dict[str, object]) -> str:
    if not told["served"]:
        return f"{told['file']}: {told['model']} is not served any more"
    return (
        f"{told['file']}: {told['id']} is served by {told['engine']}\n"
        "The running node takes it over now; to see when it is ready: byoi status"
    )


def _named(model: str) -> str:
    """As it is written down: a path means the same wherever the node is started."""
    is_path = model.startswith((".", "~")) or Path(model).exists()
    if is_path and reference_of(model) is None:
        return str(expanded(model))
    return model


def _has_others(chosen: Chosen, name: str) -> bool:
    settings = chosen.settings
    return bool(settings.models) or settings.model not in {None, name}


def _how_long(model: Model) -> str:
    if isinstance(model, ModelEntry):
        return ", and fetched first if it is not here"
    return f"; {on_disk(model.weight_bytes)} are to be loaded"


def _end(
    chosen: Chosen,
    file: Path,
    said: str,
    answer: dict[str, object],
    no_reload: bool,
    *,
    as_json: bool,
) -> None:
    reports = [] if no_reload else _reload(chosen)
    if as_json:
        click.echo(json.dumps({**answer, "file": str(file), "reloaded": bool(reports)}))
        return
    click.echo(said)
    if reports:
        click.echo("The running node takes it over now; to see when it is ready: byoi status")
    elif no_reload:
        click.echo("A running node takes it over by: byoi reload")
    else:
        click.echo("No node runs here; it serves when it is started: byoi run")
    for name in ("model", "engine"):
        if chosen.loaded.sources[name] in {"environment", "flag"}:
            click.echo(f"byoi: {variable_of(name)} is set and wins over the file", err=True)


def _reload(chosen: Chosen) -> list[ReloadReport]:
    """The node of this configuration file, if one runs; a demo has its own."""
    found = find(chosen.paths, os.environ, is_named=chosen.is_data_dir_named)
    if found.found_by == "demo":
        return []
    return [node.client.reload() for node in found.nodes]
