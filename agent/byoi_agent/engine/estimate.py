"""What an engine will take of memory once it has loaded a model, before it does."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from byoi_agent.engine.kinds.choice import is_managed, is_vllm, model_of, vllm_release
from byoi_agent.engine.kinds.vllm_arguments import default_kv_gib
from byoi_agent.engine.model_facts import facts_at
from byoi_agent.errors import ConfigError, EngineError
from byoi_agent.models.catalogue import ModelEntry
from byoi_agent.models.conversion import converted_folder
from byoi_agent.models.headers import config_in
from byoi_agent.models.hub import ModelStore
from byoi_agent.planning.fit import Wish, memory_bytes, need_of
from byoi_agent.planning.layouts import Layout
from byoi_agent.planning.machines import GIB, VLLM_SHARE, PlanDevice

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from byoi_agent.config.paths import Paths
    from byoi_agent.config.settings import Settings
    from byoi_agent.hardware.devices import DeviceReading
    from byoi_agent.planning.facts import ModelFacts
    from byoi_agent.planning.fit import Need
    from byoi_wire.ids import ModelId

# The kinds' own choices where the owner made none; a test holds them against theirs.
LLAMACPP_SLOTS: Final = 4
LLAMACPP_CONTEXT_TOKENS: Final = 2048
VLLM_SLOTS: Final = {"cpu": 8, "cuda": 64}
VLLM_CONTEXT_TOKENS: Final = {"cpu": 2048, "cuda": 16_384}

_HOST: Final = PlanDevice(0, "cpu", "host memory", 0)


@dataclass(frozen=True)
class Demand:
    """What an engine needs of all its cards: without any context, and for one request's."""

    fixed_bytes: int
    request_bytes: int


@dataclass(frozen=True)
class Reckoning:
    """One load before it happens: its bytes on all devices together, and what they rest on.

    `is_on_devices` tells memory of accelerators from the machine's own. An engine that takes a
    share of its cards, whatever for, has a `demand`; None where nothing can be said of it.
    """

    model: str
    quantisation: str
    context_tokens: int
    concurrency: int
    memory_bytes: int
    is_on_devices: bool
    demand: Demand | None = None


def estimate(settings: Settings, paths: Paths, devices: Sequence[DeviceReading] = ()) -> int | None:
    """The bytes alone; see `reckon`."""
    found = reckon(settings, paths, devices)
    return None if found is None else found.memory_bytes


def reckon(
    settings: Settings, paths: Paths, devices: Sequence[DeviceReading] = ()
) -> Reckoning | None:
    """What the engine of these settings will take; None where it cannot be told before the load.

    `settings` are those of the one model. It reads the heads of the model's files: call it in a
    thread. vLLM on a GPU takes the share it may have, whatever the model needs, unless
    `kv_cache_gib` says how much context to hold.
    """
    try:
        if not is_managed(settings.engine) or (found := _place(settings, paths)) is None:
            return None
        name, place = found
        facts = facts_at(place, name)
        if is_vllm(settings.engine):
            return _vllm(settings, facts, place, devices)
        return _llamacpp(settings, facts)
    except (ConfigError, EngineError):
        return None  # whoever loads it will be told why it cannot be


def facts_of(settings: Settings, paths: Paths) -> ModelFacts | None:
    """What the files of the model of these settings say of it; None while they are not here.

    Raises:
        ConfigError: they mean no model, or its files are damaged.
    """
    found = _place(settings, paths)
    return None if found is None else facts_at(found[1], found[0])


def plan_devices(readings: Sequence[DeviceReading], host_bytes: int | None) -> list[PlanDevice]:
    """The devices whose memory is known; without any, the processor with the machine's.

    Of cards that MIG splits an engine can be given one part, and none beside it: no two parts work
    together on a token. So the largest one counts where there is no whole card.
    """
    found = [
        PlanDevice(
            index=one.index,
            kind=one.kind,
            name=one.name,
            memory_bytes=one.memory_total_bytes,
            free_bytes=_free(one.memory_total_bytes, one.memory_used_bytes),
            compute_capability=one.compute_capability,
        )
        for card in _together(readings)
        if (one := card.for_engine()) and one.memory_total_bytes and one.kind != "cpu"
    ]
    name = next((one.name for one in readings if one.kind == "cpu"), "processor")
    return found or ([PlanDevice(0, "cpu", name, host_bytes)] if host_bytes else [])


def _together(cards: Sequence[DeviceReading]) -> Sequence[DeviceReading]:
    whole = [card for card in cards if not card.is_mig]
    if any(card.kind != "cpu" for card in whole):
        return whole
    parts = [part for card in cards if card.is_mig and (part := card.for_engine())]
    return sorted(parts, key=lambda part: part.memory_total_bytes or 0)[-1:]


def _free(total: int, used: int | None) -> int | None:
    return None if used is None else max(0, total - used)


def _place(settings: Settings, paths: Paths) -> tuple[ModelId, Path] | None:
    """The model's name, and where what the engine loads lies; None while it is not here."""
    model = model_of(settings, paths)
    if not isinstance(model, ModelEntry):
        place = model.path
    elif is_vllm(settings.engine):
        place = converted_folder(model, paths.models_folder)
    else:
        place = ModelStore(paths.models_folder).path_of(model)
    return (model.id, place) if place.exists() else None


def _llamacpp(settings: Settings, facts: ModelFacts) -> Reckoning:
    context = _context(facts, settings.context_tokens or LLAMACPP_CONTEXT_TOKENS)
    slots = settings.slots or LLAMACPP_SLOTS
    size = memory_bytes(facts, Layout((_HOST,)), Wish("llamacpp"), context, slots)
    return Reckoning(facts.name, facts.quantisation, context, slots, size, is_on_devices=False)


def _vllm(
    settings: Settings, facts: ModelFacts, folder: Path, devices: Sequence[DeviceReading]
) -> Reckoning | None:
    build = vllm_release(settings.engine).build
    context = _context(facts, settings.context_tokens or VLLM_CONTEXT_TOKENS[build])
    slots = settings.slots or VLLM_SLOTS[build]
    if build != "cpu":
        return _on_cards(settings, devices, facts, context, slots)
    config = config_in(folder) or {}
    gib = math.ceil(settings.kv_cache_gib or default_kv_gib(config, context, slots))
    size = _need(facts, (_HOST,), context, slots).fixed + gib * GIB
    return Reckoning(facts.name, facts.quantisation, context, slots, size, is_on_devices=False)


def _on_cards(
    settings: Settings,
    devices: Sequence[DeviceReading],
    facts: ModelFacts,
    context_tokens: int,
    slots: int,
) -> Reckoning | None:
    count = settings.tensor_parallel
    cards = [one for one in plan_devices(devices, None) if one.kind == "nvidia"][:count]
    if len(cards) < count:
        return None
    need = _need(facts, tuple(cards), context_tokens, slots)
    demand: Demand | None = None
    if settings.kv_cache_gib is not None:
        size = count * (need.fixed + round(settings.kv_cache_gib * GIB))
    else:
        share = settings.gpu_memory_share or VLLM_SHARE
        size = round(sum(card.memory_bytes for card in cards) * share)
        demand = Demand(count * need.fixed, count * need.kv) if need.kv else None
    return Reckoning(
        *(facts.name, facts.quantisation, context_tokens, slots, size),
        is_on_devices=True,
        demand=demand,
    )


def _need(
    facts: ModelFacts, devices: tuple[PlanDevice, ...], context_tokens: int, slots: int
) -> Need:
    """On each device."""
    layout = Layout(devices, tensor_parallel=len(devices))
    return need_of(facts, layout, Wish("vllm"), context_tokens, slots)


def _context(facts: ModelFacts, wanted: int) -> int:
    return min(wanted, facts.context_tokens or wanted)
