"""`byoi plan models`: which models fit here, how long their context and how fast they can be."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from byoi_agent.cli.options import choose, debug_option, json_option, setting_options, width_of
from byoi_agent.cli.plan_inputs import Gpu, default_engine, facts_of, meant_machine, proposable
from byoi_agent.cli.plan_serve import with_what_was_learnt
from byoi_agent.engine.kept_loads import read_loads
from byoi_agent.errors import ConfigError
from byoi_agent.models.catalogue import CATALOGUE
from byoi_agent.models.store import Store
from byoi_agent.planning.explain import numbers, size
from byoi_agent.planning.fit import Wish
from byoi_agent.planning.known_models import KNOWN_MODELS
from byoi_agent.planning.speed import expect

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from byoi_agent.cli.plan_inputs import Machine
    from byoi_agent.config.paths import Paths
    from byoi_agent.planning.facts import ModelFacts
    from byoi_agent.planning.fit import Plan
    from byoi_agent.planning.speed import Speed

_USUAL_CONTEXT_TOKENS = 8192
"""What a row is reckoned for, unless the model was made for less: enough for a conversation."""


class Row(NamedTuple):
    """One model as it would best be served here; `source` is whence it would come."""

    name: str
    source: str
    plan: Plan
    speed: Speed | None


@click.command(
    epilog="""\b
Examples:
  byoi plan models
  byoi plan models --gpu "RTX 4090:24"
  byoi plan models --all --json

Reckoned for one request of 8,192 tokens. A model that does not fit as it is published is shown in
the gentlest quantisation that does. The arithmetic of one: byoi plan serve MODEL
"""
)
@click.option("--gpu", "gpus", type=Gpu(), multiple=True, help='Plan for "NAME:GiB[xN]" instead.')
@click.option("--all", "shows_all", is_flag=True, help="Also those that do not fit.")
@setting_options("gpu_memory_share", "data_dir", "cache_dir")
@json_option
@debug_option
def models(*, gpus: Sequence[Any], shows_all: bool, as_json: bool, **flags: object) -> None:
    """List the models that fit here: the catalogue's, those pulled, and well-known open ones."""
    chosen = choose(flags)
    machine = meant_machine(gpus, chosen.paths)
    rows = [_row(facts, source, machine, chosen.paths) for facts, source in _all(chosen.paths)]
    shown = [row for row in rows if shows_all or row.plan.fits]
    if as_json:
        told = [{"source": row.source, **numbers(row.plan, row.speed)} for row in shown]
        accuracy = read_loads(chosen.paths.loads_file).accuracy()
        click.echo(
            json.dumps({"models": told, "accuracy": None if accuracy is None else asdict(accuracy)})
        )
        return
    _table(shown)
    if left := len(rows) - len(shown):
        click.echo(f"{left} more do not fit; they are shown with --all")
    if (accuracy := read_loads(chosen.paths.loads_file).accuracy()) is not None:
        loads = "the one load" if accuracy.loads == 1 else f"the last {accuracy.loads} loads"
        click.echo(
            f"memory of {loads} here: {accuracy.before:.1%} off as reckoned, {accuracy.after:.1%} "
            "as corrected by the loads before"
        )


def _all(paths: Paths) -> Iterator[tuple[ModelFacts, str]]:
    """What is at hand first; one that cannot be reckoned is left out, with a word."""
    pulled = [one.name for one in Store(paths.models_folder).all()]
    names = [(name, "here") for name in pulled]
    names += [(str(entry.id), "catalogue") for entry in CATALOGUE]
    names += [(name, "known") for name in KNOWN_MODELS]
    told: set[str] = set()
    for name, source in names:
        try:
            facts = facts_of(name, paths)
        except ConfigError as error:
            if source == "here":
                click.echo(f"byoi: {name} is left out: {error}", err=True)
            continue
        if facts.name not in told:  # the catalogue's are well known besides
            yield facts, source
        told.add(facts.name)


def _row(facts: ModelFacts, source: str, machine: Machine, paths: Paths) -> Row:
    found = _plan(facts, machine, paths)
    if not found.fits and source == "known":
        packed = proposable(facts.name, paths, machine)
        others = (_plan(one, machine, paths) for one in packed)
        found = next((other for other in others if other.fits), found)
    return Row(facts.name, source, found, expect(found) if found.fits else None)


def _plan(facts: ModelFacts, machine: Machine, paths: Paths) -> Plan:
    engine = "llamacpp" if facts.quantisation.startswith(("q", "iq")) else default_engine(facts)
    context = min(_USUAL_CONTEXT_TOKENS, facts.context_tokens or _USUAL_CONTEXT_TOKENS)
    wish = Wish(engine=engine, context_tokens=context)
    return with_what_was_learnt(facts, machine.devices(engine), wish, paths)


def _table(rows: Sequence[Row]) -> None:
    from rich.console import Console  # noqa: PLC0415 programs ask for JSON and never pay for it
    from rich.table import Table  # noqa: PLC0415

    table = Table("model", "from", "parameters", "as", "weights", "on", box=None)
    for title in ("longest context", "at once", "tokens/s"):
        table.add_column(title, justify="right")
    for row in rows:
        table.add_row(*_cells(row))
    Console(file=sys.stdout, highlight=False, markup=False, width=width_of(sys.stdout)).print(table)


def _cells(row: Row) -> tuple[str, ...]:
    facts, found = row.plan.facts, row.plan
    longest = f"{found.largest_context_tokens:,}" if found.fits else "does not fit"
    place = f"{len(found.devices)} x {found.devices[0].name}" if found.devices else ""
    return (
        row.name,
        row.source,
        f"{facts.parameters / 1e9:,.1f} B",
        f"{facts.quantisation}, {found.wish.engine}",
        size(facts.weight_bytes),
        place.removeprefix("1 x "),
        longest,
        str(found.concurrency) if found.fits else "",
        "" if row.speed is None else f"{row.speed.decode:,.0f}",
    )
