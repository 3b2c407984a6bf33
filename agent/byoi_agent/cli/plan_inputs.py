"""What `byoi plan` reckons with: the model that was named, the devices here or those meant."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Final, NamedTuple

import click

from byoi_agent.config.paths import expanded
from byoi_agent.engine.estimate import plan_devices
from byoi_agent.engine.model_facts import facts_at
from byoi_agent.errors import ConfigError
from byoi_agent.hardware.host import read_host
from byoi_agent.hardware.probers import machine_probe
from byoi_agent.models.catalogue import CATALOGUE
from byoi_agent.models.hub import ModelStore
from byoi_agent.models.store import Store
from byoi_agent.planning.facts import from_config
from byoi_agent.planning.fields import UnfitModel
from byoi_agent.planning.known_models import KNOWN_MODELS, known_model
from byoi_agent.planning.machines import GIB, PlanDevice

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from byoi_agent.config.paths import Paths
    from byoi_agent.planning.facts import ModelFacts
    from byoi_agent.planning.machines import Engine

_GPU: Final = re.compile(
    r"((?P<times>\d+) ?x ?)?(?P<name>.+?):(?P<gib>\d+(\.\d+)?)( ?(gib|gb))?"
    r"( ?x ?(?P<count>\d+))?",
    re.IGNORECASE,
)
_GPUS_AT_MOST: Final = 1024
_GIB_AT_MOST: Final = 1_000_000
_MOST_DIGITS: Final = 100
_REPACKED: Final[dict[Engine, tuple[str, ...]]] = {
    "vllm": ("fp8", "awq"),
    "llamacpp": ("q8_0", "q4_k_m"),
}
"""Quantisations that are worth proposing, the gentlest first."""


class Machine(NamedTuple):
    """The accelerators to plan for, and the processor with the machine's memory."""

    accelerators: list[PlanDevice]
    processor: list[PlanDevice]

    def devices(self, engine: Engine) -> list[PlanDevice]:
        """Those that the engine, as byoi starts it, would run on.

        Our llama.cpp computes on the processor, except on a Mac, where both share the memory.
        """
        if engine == "vllm":
            return self.accelerators or self.processor
        apples = [device for device in self.accelerators if device.kind == "apple"]
        return apples or self.processor


class Gpu(click.ParamType[list[PlanDevice]]):
    """`NAME:GiB`, `NAME:GiBxN` or `NxNAME:GiB`: cards that one does not have yet."""

    name = "gpu"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> list[PlanDevice]:
        """From what was typed."""
        if isinstance(value, list):
            return value
        found = _GPU.fullmatch(str(value).strip())
        counts = [] if found is None else [found["times"] or "", found["count"] or ""]
        is_twice = all(counts)  # and which of them is meant?
        # Python reads no number of thousands of digits.
        count = int("".join(counts)[:_MOST_DIGITS] or 1)
        memory = float(found["gib"]) if found else 0.0
        fits = 1 <= count <= _GPUS_AT_MOST and 0 < memory <= _GIB_AT_MOST
        if found is None or is_twice or not fits:
            self.fail(
                f"{value!r} is no GPU; it looks like 'RTX 4090:24' or 'H100:80x8'", param, ctx
            )
        kind = "apple" if found["name"].lower().startswith("apple") else "nvidia"
        device = PlanDevice(0, kind, found["name"].strip(), round(memory * GIB))
        return [device] * count


def meant_machine(gpus: Sequence[list[PlanDevice]], paths: Paths) -> Machine:
    """The GPUs of the command line, else what is here."""
    if gpus:
        flat = [device for group in gpus for device in group]
        numbered = [
            PlanDevice(index, one.kind, one.name, one.memory_bytes)
            for index, one in enumerate(flat)
        ]
        return Machine(numbered, numbered)  # then llama.cpp was meant for them too
    return this_machine(paths)


def this_machine(paths: Paths) -> Machine:
    """What is here; a driver's fault is told and leaves out its devices."""
    reading = machine_probe().now()
    if reading.problem is not None:
        click.echo(f"byoi: {reading.problem}; {reading.mend}", err=True)
    host = read_host(paths.cache)
    processor = plan_devices((), host.memory_total_bytes)
    named = [
        PlanDevice(one.index, one.kind, host.cpu_name or one.name, one.memory_bytes)
        for one in processor
    ]
    return Machine(plan_devices(reading.devices, None), named)


def facts_of(model: str, paths: Paths, quantisation: str | None = None) -> ModelFacts:
    """Of a folder, a file, a model that was pulled, one of the catalogue, or a well-known one.

    Raises:
        ConfigError: it is none of them, or cannot be reckoned with.
    """
    place = expanded(model)
    if _exists(place):
        return facts_at(place, quantisation=quantisation)
    if model.startswith(("/", ".", "~")) or model.lower().endswith(".gguf"):
        raise ConfigError(f"{model}: there is no such folder, nor such a file")
    if (pulled := Store(paths.models_folder).find(model)) is not None:
        return facts_at(pulled.path, pulled.name, quantisation)
    for entry in CATALOGUE:
        file = ModelStore(paths.models_folder).path_of(entry)
        if entry.id == model and file.exists():
            return facts_at(file, entry.id)
    if (known := known_model(model)) is not None:
        return from_config(*known, quantisation)
    raise _unknown(model)


def repacked(model: str, paths: Paths, engine: Engine) -> list[ModelFacts]:
    """The same model in smaller forms, as far as its config.json is at hand."""
    found: list[ModelFacts] = []
    for quantisation in _REPACKED[engine]:
        try:
            facts = facts_of(model, paths, quantisation)
        except ConfigError:
            return found
        if facts.origin == "config.json":
            found.append(facts)
    return found


def proposable(model: str, paths: Paths, machine: Machine) -> list[ModelFacts]:
    """Smaller forms of a model that could be served here, the gentlest first.

    vLLM's are for GPUs; llama.cpp's run anywhere, and in the machine's own memory.
    """
    on_gpus = repacked(model, paths, "vllm") if machine.accelerators else []
    return [*on_gpus, *repacked(model, paths, "llamacpp")]


def default_engine(facts: ModelFacts) -> Engine:
    """The engine that reads such files."""
    return "llamacpp" if facts.origin == "GGUF header" else "vllm"


def _unknown(model: str) -> UnfitModel:
    names = [*KNOWN_MODELS, *(name.partition("/")[2] for name in KNOWN_MODELS)]
    by_case = {name.lower(): name for name in names}
    near = difflib.get_close_matches(model.lower(), by_case, n=1)
    what = "is no folder, no file, no model that was pulled, and none that byoi knows"
    if near:
        return UnfitModel(f"{model!r} {what}; did you mean {by_case[near[0]]!r}?")
    return UnfitModel(
        f"{model!r} {what}; pull it (byoi models pull), or name a folder with its config.json"
    )


def _exists(place: Path) -> bool:
    try:
        return place.exists()
    except OSError:  # no file system takes such a name
        return False
