"""`byoi models`: which models are here, how they come and go, and which of them are served."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import click

from byoi_agent.cli.elsewhere import listed, node_elsewhere, pulled, removed
from byoi_agent.cli.models_serve import serve
from byoi_agent.cli.options import choose, debug_option, json_option, setting_options, width_of
from byoi_agent.cli.pull_talk import pull_talk
from byoi_agent.control.model_words import PullOrder
from byoi_agent.errors import AgentError, ConfigError
from byoi_agent.models.catalogue import CATALOGUE
from byoi_agent.models.names import Reference, reference_of
from byoi_agent.models.shelf import rows
from byoi_agent.models.store import Store
from byoi_agent.sizes import on_disk

if TYPE_CHECKING:
    from byoi_agent.cli.elsewhere import PullTold
    from byoi_agent.models.pull import Outcome
    from byoi_agent.models.shelf import Row
    from byoi_agent.models.store import Pulled

_COMMIT_DIGITS: Final = 7


@click.group()
def models() -> None:
    """List, pull and remove models, and choose those that are served."""


models.add_command(serve)


@models.command(name="list")
@setting_options("data_dir", "cache_dir")
@json_option
@debug_option
def list_(*, as_json: bool, **flags: object) -> None:
    """Show the models that are here, and the catalogue's, which come when they are served.

    This command and the others ask a node of another account, like a system service, for its own.
    """
    chosen = choose(flags)
    if (node := node_elsewhere(chosen)) is not None:
        found, unfinished = listed(node)
    else:
        store = Store(chosen.paths.models_folder)
        found = rows(store, chosen.settings, chosen.paths.models_folder)
        unfinished = store.unfinished()
    if as_json:
        shown = [asdict(row) for row in found]
        left = [{"model": model, "bytes": size} for model, size in unfinished]
        click.echo(json.dumps({"models": shown, "unfinished": left}))
        return
    _table(found)
    for model, size in unfinished:
        click.echo(f"unfinished: {model}, {on_disk(size)} came; byoi models pull goes on")
    for row in found:
        if row.runs_own_code:
            click.echo(
                f"byoi: {row.name} runs code of its own on this machine, as remote_code in the "
                "settings allows; who made it can do there whatever the node can",
                err=True,
            )


@models.command(
    epilog="""\b
Examples:
  byoi models pull Qwen/Qwen3-0.6B
  byoi models pull Qwen/Qwen3-0.6B@main --pin
  byoi models pull bartowski/Llama-3.2-1B-Instruct-GGUF:Q4_K_M
  byoi models pull owner/name --file name-Q8_0.gguf --json
"""
)
@click.argument("model")
@click.option("--file", help="The GGUF file that is meant, where there are several.")
@click.option("--quantisation", help="The quantisation that is meant, like Q4_K_M.")
@click.option("--revision", help="Branch, tag or commit; main if unset.")
@click.option("--pin", is_flag=True, help="Never remove it to make room for others.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@setting_options("data_dir", "cache_dir", "model_disk_gib", "downloads", "hub", "ca_file")
@json_option
@debug_option
def pull(
    model: str,
    *,
    file: str | None,
    quantisation: str | None,
    revision: str | None,
    pin: bool,
    yes: bool,
    as_json: bool,
    **flags: object,
) -> None:
    """Fetch MODEL (OWNER/NAME[:QUANTISATION][@REVISION]) from the hub and prove every file.

    The revision is pinned to its commit. An interrupted pull goes on when it is given again. Only
    safetensors and GGUF come, never code.
    """
    chosen = choose(flags)
    reference = _reference(model, quantisation, revision)
    if file is not None and reference.variant is not None:
        raise click.UsageError("--file names the file already; leave the quantisation out")
    talk = pull_talk(as_json=as_json)
    if (node := node_elsewhere(chosen)) is not None:
        order = PullOrder(model=str(reference), file=file, pin=pin)
        try:
            told = pulled(node, order, talk)
        finally:
            talk.settle()
        _tell(told, as_json=as_json)
        return
    store = Store(chosen.paths.models_folder)
    from byoi_agent.models.pull import pull as fetch  # noqa: PLC0415 the hub's library is large
    from byoi_agent.models.selection import WhichFile  # noqa: PLC0415
    from byoi_agent.models.terms import terms_of  # noqa: PLC0415

    terms = terms_of(chosen.settings, store)

    try:
        try:
            outcome = asyncio.run(
                fetch(reference, store, terms, talk.progress, file=file, is_pinned=pin)
            )
        except WhichFile as several:
            talk.settle()
            file = _asked(several.choices, several, may_ask=not (yes or as_json))
            reference = Reference(reference.repo, None, reference.revision)
            outcome = asyncio.run(
                fetch(reference, store, terms, talk.progress, file=file, is_pinned=pin)
            )
    except KeyboardInterrupt:
        talk.settle()
        click.echo("byoi: what came is kept, and the same command goes on", err=True)
        raise
    finally:
        talk.settle()
    _tell(_answer(outcome), as_json=as_json)


@models.command()
@click.argument("model")
@click.option("--force", is_flag=True, help="Also while a running node serves it.")
@setting_options("data_dir", "cache_dir")
@json_option
@debug_option
def rm(model: str, *, force: bool, as_json: bool, **flags: object) -> None:
    """Remove MODEL from the disk, in all revisions that are here unless one is named.

    Refused while a running node serves it. With --force its files go all the same: the node serves
    on from memory, and fails at its next start.
    """
    chosen = choose(flags)
    if (node := node_elsewhere(chosen)) is not None:
        told = removed(node, model, is_forced=force)
        click.echo(json.dumps(told) if as_json else f"{model} is removed from the node's disk")
        return
    store = Store(chosen.paths.models_folder)
    if any(entry.id == model for entry in CATALOGUE):
        raise ConfigError(f"{model} is of the catalogue, and comes again when it is served")
    found = store.find_all(model)
    reference = reference_of(model)
    parts = store.remove_unfinished(reference.repo) if reference is not None else 0
    if not found and not parts:
        raise ConfigError(f"{model} is not here; see: byoi models list")
    for one in found:
        store.remove(one, is_forced=force)
    if as_json:
        click.echo(json.dumps({"removed": [_told(one) for one in found], "unfinished": parts}))
        return
    for one in found:
        click.echo(f"{_told(one)} is removed; {on_disk(one.size_bytes)} are free again")
    if parts:
        click.echo(f"what had come of {model} is removed")


def _reference(model: str, quantisation: str | None, revision: str | None) -> Reference:
    found = reference_of(model)
    if found is None:
        raise click.UsageError(
            f"{model!r} is no model of a hub; one looks like owner/name, owner/name:Q4_K_M or "
            "owner/name@revision"
        )
    for given, own, name in (
        (quantisation, found.variant, "quantisation"),
        (revision, found.revision, "revision"),
    ):
        if given is not None and own is not None and given != own:
            raise click.UsageError(f"{model} and --{name} {given} say two things")
    return Reference(found.repo, quantisation or found.variant, revision or found.revision)


def _asked(choices: tuple[str, ...], several: AgentError, *, may_ask: bool) -> str:
    """Which of several files the owner means.

    Raises:
        AgentError: nobody is there to ask.
    """
    if not may_ask or not sys.stdin.isatty():
        raise several
    for number, choice in enumerate(choices, 1):
        click.echo(f"{number:>4}  {choice}", err=True)
    number = click.prompt("Which one", type=click.IntRange(1, len(choices)), err=True)
    return choices[number - 1]


def _answer(outcome: Outcome) -> PullTold:
    one = outcome.pulled
    return {
        "model": one.name,
        "id": one.id,
        "commit": one.manifest.commit,
        "size_bytes": one.size_bytes,
        "path": str(one.path),
        "was_here": outcome.was_here,
        "removed": list(outcome.removed),
    }


def _tell(told: PullTold, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(told))
        return
    for key in told["removed"]:
        click.echo(f"{key} was removed to make room (model_disk_gib)", err=True)
    state = "was here already" if told["was_here"] else "is here"
    name = told["model"]
    click.echo(
        f"{name} {state}, {on_disk(told['size_bytes'])} at commit "
        f"{told['commit'][:_COMMIT_DIGITS]}; to serve it: byoi models serve {name}"
    )


def _told(one: Pulled) -> str:
    return f"{one.name}@{one.manifest.commit[:_COMMIT_DIGITS]}"


def _table(found: list[Row]) -> None:
    from rich.console import Console  # noqa: PLC0415 programs ask for JSON and never pay for it
    from rich.table import Table  # noqa: PLC0415

    table = Table("model", "kind", "size", "commit", "last used", "state", box=None)
    for row in found:
        size = "" if row.size_bytes is None else on_disk(row.size_bytes)
        kind = f"{row.kind} {row.quantisation}" if row.quantisation else row.kind
        commit = (row.commit or "")[:_COMMIT_DIGITS]
        table.add_row(row.name, kind, size, commit, row.used_at or "", row.state)
    Console(file=sys.stdout, highlight=False, markup=False, width=width_of(sys.stdout)).print(table)
