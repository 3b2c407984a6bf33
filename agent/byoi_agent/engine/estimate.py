"""What an engine will take of memory once it has loaded a model, before it does."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from byoi_agent.engine.kinds.choice import is_vllm, model_of, vllm_release
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

# The kinds' own choices where the owner made none; a test holds them against theirs.
LLAMACPP_SLOTS: Final = 4
LLAMACPP_CONTEXT_TOKENS: Final = 2048
VLLM_SLOTS: Final = {"cpu": 8, "cuda": 64}
VLLM_CONTEXT_TOKENS: Final = {"cpu": 2048, "cuda": 16_384}

_HOST: Final = PlanDevice(0, "cpu", "host memory", 0)


def estimate(settings: Settings, paths: Paths, devices: Sequence[DeviceReading] = ()) -> int | None:
    """Bytes of all its devices together; None where it cannot be told before the load.

    `settings` are those of the one model. It reads the heads of the model's files: call it in a
    thread.
    vLLM on a GPU takes the share it may have, whatever the model needs, unless `kv_cache_gib` says
    how much context to hold.
    """
    try:
        if settings.engine == "llamacpp":
            return _llamacpp(settings, paths)
        return _vllm(settings, paths, devices) if is_vllm(settings.engine) else None
    except (ConfigError, EngineError):
        return None  # whoever loads it will be told why it cannot be


def plan_devices(readings: Sequence[DeviceReading], host_bytes: int | None) -> list[PlanDevice]:
    """The devices whose memory is known; without any, the processor with the machine's."""
    found = [
        PlanDevice(
            index=one.index,
            kind=one.kind,
            name=one.name,
            memory_bytes=one.memory_total_bytes,
            free_bytes=_free(one.memory_total_bytes, one.memory_used_bytes),
            compute_capability=one.compute_capability,
        )
        for one in readings
        if one.memory_total_bytes and one.kind != "cpu"
    ]
    name = next((one.name for one in readings if one.kind == "cpu"), "processor")
    return found or ([PlanDevice(0, "cpu", name, host_bytes)] if host_bytes else [])


def _free(total: int, used: int | None) -> int | None:
    return None if used is None else max(0, total - used)


def _llamacpp(settings: Settings, paths: Paths) -> int | None:
    if (found := _facts(settings, paths, converted=False)) is None:
        return None
    context = _context(found, settings.context_tokens or LLAMACPP_CONTEXT_TOKENS)
    slots = settings.slots or LLAMACPP_SLOTS
    return memory_bytes(found, Layout((_HOST,)), Wish("llamacpp"), context, slots)


def _vllm(settings: Settings, paths: Paths, devices: Sequence[DeviceReading]) -> int | None:
    build = vllm_release(settings.engine).build
    if (found := _facts(settings, paths, converted=True)) is None:
        return None
    context = _context(found, settings.context_tokens or VLLM_CONTEXT_TOKENS[build])
    slots = settings.slots or VLLM_SLOTS[build]
    gib = settings.kv_cache_gib
    if build == "cpu":
        fixed = need_of(found, Layout((_HOST,)), Wish("vllm"), context, slots).fixed
        folder = _place(settings, paths, converted=True)
        config = (config_in(folder) if folder else None) or {}
        return fixed + math.ceil(gib or default_kv_gib(config, context, slots)) * GIB
    count = settings.tensor_parallel
    cards = [one for one in plan_devices(devices, None) if one.kind == "nvidia"][:count]
    if len(cards) < count:
        return None
    if gib is None:
        share = settings.gpu_memory_share or VLLM_SHARE
        return round(sum(card.memory_bytes for card in cards) * share)
    layout = Layout(tuple(cards), tensor_parallel=count)
    return count * (need_of(found, layout, Wish("vllm"), context, slots).fixed + round(gib * GIB))


def _context(facts: ModelFacts, wanted: int) -> int:
    return min(wanted, facts.context_tokens or wanted)


def _facts(settings: Settings, paths: Paths, *, converted: bool) -> ModelFacts | None:
    place = _place(settings, paths, converted=converted)
    return None if place is None else facts_at(place)


def _place(settings: Settings, paths: Paths, *, converted: bool) -> Path | None:
    """Where the model's files lie; None while they are not here."""
    model = model_of(settings, paths)
    if not isinstance(model, ModelEntry):
        return model.path
    if converted:
        place = converted_folder(model, paths.models_folder)
    else:
        place = ModelStore(paths.models_folder).path_of(model)
    return place if place.exists() else None
