"""Over which devices a model can be divided, the best first: few of them, and fast ones.

A model that fits one card runs slower on two (each token waits for the wire between them), so that
more are taken only where fewer do not do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from byoi_agent.planning.accelerators import rates_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from byoi_agent.planning.facts import ModelFacts
    from byoi_agent.planning.machines import Engine, PlanDevice


@dataclass(frozen=True)
class Layout:
    """Devices that work together: `tensor_parallel` on each layer, `pipeline_parallel` in turn."""

    devices: tuple[PlanDevice, ...]
    tensor_parallel: int = 1
    pipeline_parallel: int = 1

    @property
    def is_cpu(self) -> bool:
        """Whether it is the processor."""
        return self.devices[0].is_cpu

    @property
    def smallest_bytes(self) -> int:
        """Memory of the smallest device: what is divided evenly must fit there."""
        return min(device.memory_bytes for device in self.devices)


def layouts(facts: ModelFacts, devices: Sequence[PlanDevice], engine: Engine) -> list[Layout]:
    """Every layout that the engine can make of these devices, the best first."""
    accelerators = sorted(
        (device for device in devices if not device.is_cpu), key=_speed, reverse=True
    )
    found = [
        layout
        for count in range(1, len(accelerators) + 1)
        for chosen in _choices(accelerators, count, engine)
        for layout in _divided(facts, chosen, engine)
    ]
    if engine == "vllm":  # byoi starts no pipelines of vLLM itself: what needs none goes first
        found.sort(key=lambda layout: layout.pipeline_parallel > 1)
    return found or [Layout((device,)) for device in devices if device.is_cpu]


def _speed(device: PlanDevice) -> tuple[float, int]:
    rates = rates_of(device.name)
    return (rates.bytes_per_second if rates else 0.0, device.memory_bytes)


def _choices(
    accelerators: Sequence[PlanDevice], count: int, engine: Engine
) -> Iterator[tuple[PlanDevice, ...]]:
    """So many devices of one name; llama.cpp also takes different ones, the fastest first."""
    names = dict.fromkeys(device.name for device in accelerators)
    for name in names:
        alike = [device for device in accelerators if device.name == name]
        if len(alike) >= count:
            yield tuple(alike[:count])
    if engine == "llamacpp" and len(names) > 1 and count > 1:
        yield tuple(accelerators[:count])


def _divided(facts: ModelFacts, chosen: tuple[PlanDevice, ...], engine: Engine) -> Iterator[Layout]:
    count = len(chosen)
    if engine == "llamacpp":  # whole layers to each, in proportion to its memory
        yield Layout(chosen, 1, count)
        return
    for tensor in range(count, 0, -1):
        pipeline, rest = divmod(count, tensor)
        if not rest and _divides(facts, tensor, pipeline):
            yield Layout(chosen, tensor, pipeline)


def _divides(facts: ModelFacts, tensor: int, pipeline: int) -> bool:
    """Whether heads, KV heads and layers come out even; a KV head may be kept more than once."""
    kv = facts.kv_heads
    shares_kv = kv % tensor == 0 or (kv > 0 and tensor % kv == 0)
    shares_heads = facts.heads % tensor == 0 and shares_kv
    return (tensor == 1 or (facts.heads > 0 and shares_heads)) and facts.layers % pipeline == 0
