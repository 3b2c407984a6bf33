"""`byoi plan train`: what training a model would take, in GPUs or in time."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from byoi_agent.bench.fleet import api_key, best_flops, read_fleet
from byoi_agent.bench.kept import Kept
from byoi_agent.cli import plan_train_view as view
from byoi_agent.cli.numbers import Number, Share
from byoi_agent.cli.options import choose, debug_option, json_option, setting_options
from byoi_agent.errors import ConfigError
from byoi_agent.hardware.host import read_host
from byoi_agent.hardware.probers import machine_probe
from byoi_agent.identity.console_http import ConsoleHttp, checked_console_url
from byoi_agent.identity.record import read_record
from byoi_agent.planning import training
from byoi_agent.planning.training_limits import UPLINK_MBIT, Place, warnings

if TYPE_CHECKING:
    from collections.abc import Callable

    from byoi_agent.cli.options import Chosen
    from byoi_agent.config.paths import Paths

_Command = TypeVar("_Command", bound="Callable[..., Any]")

_GIB: Final = 1 << 30
_TIMES: Final = Number(most=1e6)
_SHARE: Final = Share(most=1e6)
_EXTRAS: Final = (
    ("tokens_times", _TIMES, 1.0, "Times as many tokens as that."),
    ("wall_clock_times", _TIMES, 1.0, "Times the time, for restarts and failures."),
    ("network_times", _TIMES, 1.0, "Times the time, for GPUs that wait on each other."),
    ("post_training", _SHARE, 0.0, "Preferences and reinforcement, as a share of pre-training."),
    ("fine_tuning", _SHARE, 0.0, "Fine-tuning, as a share of pre-training."),
    ("evaluation", _SHARE, 0.0, "Evaluation, as a share of pre-training."),
    ("synthetic_data", _SHARE, 0.0, "Making data with a model, as a share of pre-training."),
    ("serving_tokens_per_second", Share(most=1e15), 0.0, "What the finished model shall answer."),
)


@dataclass(frozen=True)
class Speed:
    """What one of what is counted achieves, whence that is known, and where it stands."""

    flops: float
    source: str
    place: Place
    preset: training.Preset | None = None
    measured: view.Counted | None = None


def _extras(command: _Command) -> _Command:
    for name, kind, default, text in reversed(_EXTRAS):
        flag = "--" + name.replace("_", "-")
        command = click.option(
            flag, name, type=kind, default=default, show_default=True, help=text
        )(command)
    return command


@click.command(
    epilog="""\b
Examples:
  byoi plan train --params 1T --gpu a100
  byoi plan train --params 405B --tokens 15.6T --days 60 --tflops 400
  byoi plan train --params 8B --gpus 64 --gpu h100
  byoi plan train --params 135M --machine
  BYOI_API_KEY=… byoi plan train --params 8B --fleet"""
)
@click.option("--params", type=Number(), required=True, help="Parameters: 405B, 1T, 7.5e9.")
@click.option("--tokens", type=Number(), help="To train on.  [default: 0.45 for each parameter]")
@click.option("--active-params", type=Number(), help="Of a mixture of experts: for each token.")
@click.option("--days", type=Number(most=1e7), help="Time there is.  [default: 90]")
@click.option("--gpus", type=Number(most=1e12), help="GPUs there are: tells the time instead.")
@click.option("--tflops", type=Number(most=1e9), help="Achieved by one GPU, in TFLOP/s.")
@click.option(
    "--gpu",
    type=click.Choice(sorted(training.PRESETS), case_sensitive=False),
    help="Assume such a GPU.",
)
@click.option("--machine", is_flag=True, help="This machine, by what byoi bench measured.")
@click.option("--fleet", is_flag=True, help="All online nodes, by what byoi bench measured.")
@click.option(
    "--factor",
    type=Number(most=1000),
    default=training.FACTOR,
    show_default=True,
    help="Operations for each parameter and token; 6 without recomputation.",
)
@_extras
@click.option("--gpu-memory-gib", type=Number(most=1e6), help="Of one GPU.")
@click.option("--gpus-per-node", type=click.IntRange(1, 100_000), help="GPUs in one machine.")
@click.option("--nvlink/--no-nvlink", default=None, help="Whether it joins them.")
@click.option(
    "--uplink-mbit",
    type=Number(most=1e9),
    default=UPLINK_MBIT,
    show_default=True,
    help="What each node of a fleet can send, in Mbit/s.",
)
@setting_options("console", "data_dir", "ca_file")
@json_option
@debug_option
def train(*, as_json: bool, **flags: Any) -> None:  # noqa: ANN401 see the options
    """Estimate what training a model takes: GPUs = 8 x tokens x parameters / (FLOP/s x seconds).

    FLOP/s are those that training achieves, a third or half of what a data sheet promises.
    """
    speed = _speed(flags)
    job = training.Job(
        parameters=flags["params"],
        tokens=flags["tokens"] or training.default_tokens(flags["params"]),
        flops=speed.flops,
        active_parameters=flags["active_params"],
        factor=flags["factor"],
        extras=training.Extras(**{name: flags[name] for name, *_ in _EXTRAS}),
    )
    _refuse_odd(job, flags)
    try:
        found = _estimate(job, flags)
        alone = None if speed.measured is None else training.time_for(job, speed.measured.count)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    answer = view.Answer(
        job=job,
        estimate=found,
        source=speed.source,
        place=speed.place,
        preset=speed.preset,
        counted=speed.measured,
        alone=alone,
        are_tokens_assumed=flags["tokens"] is None,
        are_gpus_given=flags["gpus"] is not None,
        warnings=warnings(
            job.parameters, job.tokens * job.extras.tokens_times, found.gpus, speed.place
        ),
    )
    click.echo(view.for_programs(answer) if as_json else view.for_people(answer))


def _estimate(job: training.Job, flags: dict[str, Any]) -> training.Estimate:
    if flags["gpus"] is not None:
        return training.time_for(job, flags["gpus"])
    return training.gpus_for(job, (flags["days"] or training.DAYS) * training.DAY_SECONDS)


def _refuse_odd(job: training.Job, flags: dict[str, Any]) -> None:
    if flags["days"] is not None and flags["gpus"] is not None:
        raise click.UsageError("--days tells how many GPUs, --gpus how many days: give one of them")
    if job.active_parameters is not None and job.active_parameters > job.parameters:
        raise click.UsageError("--active-params are some of --params, so they cannot be more")


def _speed(flags: dict[str, Any]) -> Speed:
    given = [name for name in ("tflops", "gpu", "machine", "fleet") if flags[name]]
    if len(given) != 1:
        raise click.UsageError(
            "say how fast the hardware is, in one way: --tflops 163, --gpu a100, --machine (what "
            "byoi bench measured here) or --fleet (what it measured on all nodes)"
        )
    if flags["machine"]:
        return _of_machine(flags)
    if flags["fleet"]:
        return _of_fleet(flags)
    preset = training.PRESETS[flags["gpu"]] if flags["gpu"] else None
    memory = flags["gpu_memory_gib"]
    place = Place(
        unit="gpu",
        memory_bytes=_either(
            None if memory is None else round(memory * _GIB), preset and preset.memory_bytes
        ),
        node_gpus=_either(flags["gpus_per_node"], preset and preset.node_gpus),
        has_nvlink=_either(flags["nvlink"], preset and True),
    )
    flops = preset.flops if preset else flags["tflops"] * 1e12
    return Speed(flops, flags["gpu"] or "given", place, preset)


def _of_machine(flags: dict[str, Any]) -> Speed:
    paths = _chosen(flags).paths
    kept = Kept(paths.measured_file).all
    if (flops := best_flops(kept.values())) is None:
        raise ConfigError(
            "what this machine achieves was never measured, and no data sheet tells it: run byoi "
            f"bench while the node serves (none is kept in {paths.measured_file})"
        )
    place = Place(unit="machine", memory_bytes=asyncio.run(_memory_here(paths)))
    return Speed(flops, "machine", place, measured=view.Counted(1, flops))


async def _memory_here(paths: Paths) -> int | None:
    """Of all accelerators together; of the machine where there is none that tells."""
    reading = await machine_probe().read()
    sizes = [size for one in reading.devices if (size := one.memory_total_bytes)]
    return sum(sizes) or read_host(paths.cache).memory_total_bytes


def _of_fleet(flags: dict[str, Any]) -> Speed:
    chosen = _chosen(flags)
    console = ConsoleHttp(_console_url(chosen), chosen.settings.ca_file)
    fleet = asyncio.run(read_fleet(console, api_key(os.environ)))
    if not fleet.measured:
        raise ConfigError(
            f"none of the {fleet.online} nodes that are online was ever measured; run byoi bench "
            "on them first"
        )
    place = Place(
        unit="node",
        memory_bytes=fleet.memory_bytes,
        nodes=fleet.measured,
        uplink_mbit=flags["uplink_mbit"],
    )
    counted = view.Counted(fleet.measured, fleet.flops, fleet.unmeasured, fleet.offline)
    return Speed(fleet.flops / fleet.measured, "fleet", place, measured=counted)


def _chosen(flags: dict[str, Any]) -> Chosen:
    return choose({name: flags[name] for name in ("console", "data_dir", "ca_file")})


def _console_url(chosen: Chosen) -> str:
    if chosen.settings.console:
        return checked_console_url(chosen.settings.console)
    if (record := read_record(chosen.paths.identity_file)) is not None:
        return checked_console_url(record.console_url)
    raise ConfigError("name the console whose nodes are meant: --console https://console.example")


def _either(said: Any, assumed: Any) -> Any:  # noqa: ANN401 of any option
    return assumed if said is None else said
