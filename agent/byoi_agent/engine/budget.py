"""What memory there is for models, and what each of them takes of it; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from byoi_agent.engine.residency.resident import Model

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from byoi_agent.engine.entries import Entry
    from byoi_agent.engine.residency.memory import Amounts
    from byoi_agent.hardware.devices import DeviceReading

_GIB: Final = 1024**3
ALL: Final = "the memory for models"
HOST: Final = "the machine's memory"

_GPU_SHARE: Final = 0.95
"""The rest is the driver's, and of what else shows on the screen."""

_HOST_SHARE: Final = 0.75
"""The rest is the owner's programs' and the disk cache's, without which loading takes long."""

_WEIGHTS_FACTOR: Final = 1.2
_LEAST_BYTES: Final = 256 * 1024**2
"""What an engine takes beside the weights, where nobody has reckoned it: context and buffers."""

_ASLEEP_GPU_BYTES: Final = 2 * 1024**3
"""What a sleeping vLLM keeps of each GPU: CUDA's context and the captured graphs. Its own tests
allow for up to 3 GiB, its issue 47654 tells of 7 GiB for a model over eight GPUs."""

_VLLM_SHARE: Final = 0.9  # --gpu-memory-utilization's default


def gpu(index: int) -> str:
    """The name of one GPU's memory."""
    return f"GPU {index}"


def gpu_bytes(devices: Sequence[DeviceReading]) -> dict[int, int]:
    """Memory of each GPU that has its own, by its number."""
    return {
        device.index: device.memory_total_bytes
        for card in devices
        if (device := card.for_engine())
        and device.kind != "cpu"
        and device.memory_total_bytes
        and not device.is_memory_unified
    }


def budget_of(owners_gib: float | None, gpus: Mapping[int, int], host_bytes: int | None) -> Amounts:
    """What may be taken: of each GPU, of the host's memory, and of all of it together."""
    parts = {gpu(index): int(size * _GPU_SHARE) for index, size in gpus.items()}
    parts[HOST] = int((host_bytes or 0) * _HOST_SHARE)
    whole = sum(parts.values()) if owners_gib is None else int(owners_gib * _GIB)
    return {ALL: whole, **parts}


def others_of(held: Mapping[int, int], gpus: Mapping[int, int]) -> Amounts:
    """What other programs hold of each GPU, beyond the share that is left to them anyway."""
    return {
        gpu(index): beyond
        for index, size in held.items()
        if (beyond := size - int(gpus.get(index, 0) * (1 - _GPU_SHARE))) > 0
    }


def model_of(
    entry: Entry,
    gpus: Mapping[int, int],
    reckoned: Callable[[Entry], int | None],
    place: tuple[int, ...] | None = None,
) -> Model:
    """An engine as the residency counts it. `reckoned` knows better than its files' sizes.

    `place` are its GPUs; without one it is counted on the first ones.
    """
    its = place or entry.gpus or tuple(range(entry.kind.uses_gpus))
    on_gpus = bool(entry.kind.uses_gpus)
    need = entry.memory_bytes or _fixed_share(entry, its, gpus) or reckoned(entry)
    need = need or max(_LEAST_BYTES, int(entry.kind.weight_bytes * _WEIGHTS_FACTOR))
    parts = {gpu(index): -(-need // len(its)) for index in its} if on_gpus else {HOST: need}
    return Model(
        key=entry.key,
        loaded={ALL: need, **parts},
        asleep=_asleep(entry, its, need) if entry.kind.can_sleep else None,
        priority=entry.priority,
        loads_at_start=entry.loads_at_start,
        idle_unload_seconds=entry.idle_unload_seconds,
        edition=entry.edition,
    )


def _asleep(entry: Entry, its: Sequence[int], need: int) -> Amounts:
    """The weights lie in the machine's memory then."""
    if not entry.kind.uses_gpus:
        return {HOST: entry.kind.weight_bytes}
    each = min(_ASLEEP_GPU_BYTES, need // len(its))
    parts = {gpu(index): each for index in its}
    return {ALL: each * len(its), **parts, HOST: entry.kind.weight_bytes}


def _fixed_share(entry: Entry, its: Sequence[int], gpus: Mapping[int, int]) -> int | None:
    """A vLLM that was not told what context to hold takes its share of each GPU, whatever for."""
    if not entry.kind.uses_gpus or entry.settings.kv_cache_gib is not None:
        return None
    share = entry.settings.gpu_memory_share or _VLLM_SHARE
    return int(share * sum(gpus.get(index, 0) for index in its)) or None
