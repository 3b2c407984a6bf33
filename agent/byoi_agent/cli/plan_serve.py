"""`byoi plan serve`: whether a model fits, on what, how it would be started and how fast it is."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any, Final, cast

import click

from byoi_agent.cli.options import choose, debug_option, json_option, setting_options
from byoi_agent.cli.plan_inputs import (
    Gpu,
    default_engine,
    facts_of,
    meant_machine,
    proposable,
)
from byoi_agent.engine.kept_loads import read_loads
from byoi_agent.engine.kinds import llamacpp
from byoi_agent.engine.kinds.vllm_releases import RELEASES
from byoi_agent.planning.arguments import engine_arguments
from byoi_agent.planning.arguments import settings as settings_of
from byoi_agent.planning.calibration import Key
from byoi_agent.planning.explain import numbers, steps
from byoi_agent.planning.fit import Plan, Wish, plan
from byoi_agent.planning.remedies import reasons
from byoi_agent.planning.speed import expect
from byoi_agent.planning.weights import GGUF_BITS, NAMED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from byoi_agent.config.paths import Paths
    from byoi_agent.planning.facts import ModelFacts
    from byoi_agent.planning.machines import Engine, PlanDevice
    from byoi_agent.planning.speed import Speed

_ELEMENT_BYTES: Final = {"auto": 2.0, "fp8": 1.0}
_COLUMN: Final = 12


@click.command(
    epilog="""\b
Examples:
  byoi plan serve ./my-model                      # a folder; its config.json is enough
  byoi plan serve model.Q4_K_M.gguf --context 8192
  byoi plan serve Qwen/Qwen3-30B-A3B --concurrency 16
  byoi plan serve Llama-3.1-70B-Instruct --gpu "RTX 4090:24x2" --quantisation awq

Nothing is loaded, and of a model's files only the heads are read. With --json: every input and
result as a plain number; "fits" says whether it does, and "reasons" what would.
"""
)
@click.argument("model", metavar="MODEL_OR_DIR")
@click.option("--context", type=click.IntRange(1, 100_000_000), help="Tokens of each request.")
@click.option("--concurrency", type=click.IntRange(1, 100_000), help="Requests at once.")
@click.option("--gpu", "gpus", type=Gpu(), multiple=True, help='Plan for "NAME:GiB[xN]" instead.')
@click.option(
    "--engine", type=click.Choice(["vllm", "llamacpp"]), help="[default: as the files are]"
)
@click.option(
    "--quantisation",
    type=click.Choice(["none", *NAMED, *GGUF_BITS]),
    help="As if its weights were packed so.",
)
@click.option("--kv-dtype", type=click.Choice(list(_ELEMENT_BYTES)), default="auto")
@setting_options("gpu_memory_share", "data_dir", "cache_dir")
@json_option
@debug_option
def serve(*, model: str, as_json: bool, **flags: Any) -> None:  # noqa: ANN401 see the options
    """Show what serving MODEL_OR_DIR takes: weights, context, devices, arguments, speed.

    MODEL_OR_DIR is a folder, a GGUF file, a model that was pulled, or a well-known one.
    """
    chosen = choose(flags)
    facts = facts_of(model, chosen.paths, flags["quantisation"])
    engine = cast("Engine", flags["engine"] or _engine_for(facts, flags["quantisation"]))
    machine = meant_machine(flags["gpus"], chosen.paths)
    devices = machine.devices(engine)
    wish = Wish(
        engine=engine,
        context_tokens=flags["context"],
        concurrency=flags["concurrency"],
        element_bytes=_ELEMENT_BYTES[flags["kv_dtype"]],
        gpu_share=chosen.settings.gpu_memory_share,
    )
    found = with_what_was_learnt(facts, devices, wish, chosen.paths)
    speed = expect(found) if found.fits else None
    smaller = [] if found.fits else proposable(model, chosen.paths, machine)
    why = reasons(found, devices, smaller)
    if as_json:
        click.echo(json.dumps(_answer(found, speed, devices, why)))
    else:
        _tell(found, speed, why, model)


def with_what_was_learnt(
    facts: ModelFacts, devices: Sequence[PlanDevice], wish: Wish, paths: Paths
) -> Plan:
    """The plan, corrected by what earlier loads on this machine took.

    Raises:
        UnfitModel: see `fit.plan`.
    """
    found = plan(facts, devices, wish)
    corrections = read_loads(paths.loads_file)
    key = Key(
        engine=wish.engine,
        version=_version(wish.engine, devices),
        model=facts.name,
        quantisation=facts.quantisation,
        context_tokens=found.context_tokens,
        concurrency=found.concurrency,
    )
    correction = corrections.of(key, found.memory_bytes)
    return plan(facts, devices, wish, correction) if correction.observations else found


def _version(engine: Engine, devices: Sequence[PlanDevice]) -> str:
    """As `prediction.running_version` names what runs: a build for each kind of hardware."""
    if engine == "llamacpp":
        return llamacpp.RUNTIME.version
    build = "cpu" if all(device.is_cpu for device in devices) else "cuda"
    return f"{RELEASES[0].version} {build}"


def _engine_for(facts: ModelFacts, quantisation: str | None) -> Engine:
    """A quantisation of GGUF's means the engine that reads GGUF."""
    if quantisation in GGUF_BITS and quantisation not in NAMED:
        return "llamacpp"
    return default_engine(facts)


def _answer(
    found: Plan, speed: Speed | None, devices: Sequence[PlanDevice], why: Sequence[str]
) -> dict[str, Any]:
    return {
        **numbers(found, speed),
        "devices_considered": [
            {
                "index": one.index,
                "kind": one.kind,
                "name": one.name,
                "memory_bytes": one.memory_bytes,
            }
            for one in devices
        ],
        "reasons": list(why),
        "steps": [{"of": of, "line": line} for of, line in steps(found, speed)],
    }


def _tell(found: Plan, speed: Speed | None, why: Sequence[str], model: str) -> None:
    before = ""
    for of, line in steps(found, speed):
        click.echo(f"{'' if of == before else of:<{_COLUMN}}{line}")
        before = of
    click.echo()
    if not found.fits:
        click.echo("It does not fit.")
        for sentence in why:
            click.echo(f"  - {sentence}")
        return
    arguments = shlex.join(_flags(found, model))
    click.echo(f"It fits: {found.concurrency} at once with {found.context_tokens:,} tokens each.")
    if found.facts.origin == "config.json":
        click.echo("Its weights are not here; of a hub's model: byoi models pull OWNER/NAME")
    if _is_beyond_byoi(found):
        server = "vllm serve" if found.wish.engine == "vllm" else "llama-server --model"
        by_hand = shlex.join([model, *engine_arguments(found)])
        click.echo(f"byoi does not start an engine so; by hand: {server} {by_hand}")
        click.echo("Then offer that server: byoi run --engine http://127.0.0.1:PORT")
        return
    click.echo(f"To serve it: byoi run {arguments}")


def _is_beyond_byoi(found: Plan) -> bool:
    """Pipelines, a context in eight bits, and llama.cpp on cards that its wheel has no code for."""
    if found.wish.engine == "vllm":
        is_divided = found.pipeline_parallel > 1
    else:
        is_divided = any(one.kind not in {"cpu", "apple"} for one in found.devices)
    return is_divided or found.wish.element_bytes == 1


def _flags(found: Plan, model: str) -> list[str]:
    given = {"model": model, **settings_of(found)}
    return [
        part
        for name, value in given.items()
        for part in (f"--{name.replace('_', '-')}", str(value))
    ]
