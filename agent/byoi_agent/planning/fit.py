"""Whether a model fits, on which devices, with how long a context and how many requests at once.

On each device: weights + overheads + context <= what the engine may take. Weights and layers are
divided over the devices; the context by KV heads over those that share a layer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from byoi_agent.planning.cache import Keeping, bytes_per_token, sequence_bytes
from byoi_agent.planning.fields import UnfitModel
from byoi_agent.planning.layouts import Layout, layouts
from byoi_agent.planning.overheads import Overhead, keeping, overheads, step_tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from byoi_agent.planning.facts import ModelFacts
    from byoi_agent.planning.machines import Engine, PlanDevice

REQUESTS_AT_MOST: Final = 256
"""vLLM's default of `--max-num-seqs` on most cards; more would only wait on each other."""

SHORTEST_CONTEXT_TOKENS: Final = 2048
"""A model that has room for less is of no use to anybody, and counts as not fitting."""


class Correction(Protocol):
    """What earlier loads taught: a factor on the whole, and how often that was seen."""

    @property
    def factor(self) -> float:
        """What to multiply an estimate by."""
        ...

    @property
    def observations(self) -> int:
        """Loads that it rests on."""
        ...

    @property
    def error(self) -> float | None:
        """The share that they took more than reckoned."""
        ...


@dataclass(frozen=True)
class Uncorrected:
    """Nothing was loaded here before."""

    factor: float = 1.0
    observations: int = 0
    error: float | None = None


@dataclass(frozen=True)
class Wish:
    """What the owner asks for; None leaves it to what fits."""

    engine: Engine = "vllm"
    context_tokens: int | None = None
    concurrency: int | None = None
    element_bytes: float = 2
    gpu_share: float | None = None


@dataclass(frozen=True)
class Need:
    """What each device must hold, in bytes, before any correction. `kv` is for one request."""

    weights: int
    overheads: tuple[Overhead, ...]
    kv: int

    @property
    def fixed(self) -> int:
        """Without any context."""
        return self.weights + sum(one.size_bytes for one in self.overheads)

    def total(self, concurrency: int) -> int:
        """With so many requests."""
        return self.fixed + self.kv * concurrency


@dataclass(frozen=True)
class Plan:
    """The answer. `kv_bytes_per_token` is the model's own; None where nobody knows it.

    `spread_bytes_per_token` is the same over all devices, of which several may keep a copy.

    `memory_bytes` is the corrected need of all devices together, `room_bytes` what they offer;
    `largest_context_tokens` is for one request alone. `reasons` say why it does not fit, and what
    would.
    """

    fits: bool
    facts: ModelFacts
    wish: Wish
    layout: Layout | None
    context_tokens: int
    concurrency: int
    largest_context_tokens: int
    kv_bytes_per_token: int | None
    spread_bytes_per_token: int | None
    growing_bytes_per_token: int | None
    memory_bytes: int
    room_bytes: int
    need: Need
    correction: Correction = field(default_factory=Uncorrected)
    reasons: tuple[str, ...] = ()

    @property
    def devices(self) -> tuple[PlanDevice, ...]:
        """Those it would run on."""
        return self.layout.devices if self.layout else ()

    @property
    def tensor_parallel(self) -> int:
        """Devices that share each layer."""
        return self.layout.tensor_parallel if self.layout else 1

    @property
    def pipeline_parallel(self) -> int:
        """Groups of devices that have each their layers."""
        return self.layout.pipeline_parallel if self.layout else 1

    @property
    def kv_bytes(self) -> int:
        """Context of all requests on all devices."""
        return self.need.kv * self.concurrency * len(self.devices)

    @property
    def reserve_bytes(self) -> int:
        """Everything besides weights and context, on all devices."""
        return (self.need.fixed - self.need.weights) * max(1, len(self.devices))


def plan(
    facts: ModelFacts,
    devices: Sequence[PlanDevice],
    wish: Wish,
    correction: Correction | None = None,
) -> Plan:
    """The best layout that does what was asked, or the roomiest one and why it does not.

    Raises:
        UnfitModel: a longer context is asked for than the model was made for.
    """
    limit = facts.context_tokens
    if wish.context_tokens and limit and wish.context_tokens > limit:
        raise UnfitModel(
            f"{facts.name} was made for {limit} tokens of context at most; --context {limit}"
        )
    known = correction or Uncorrected()
    found = layouts(facts, devices, wish.engine)
    if not found:
        return _nowhere(facts, wish, known)
    tried = [_on(facts, layout, wish, known) for layout in found]
    fitting = next((one for one in tried if one.fits), None)
    return fitting or max(tried, key=lambda one: one.room_bytes - one.memory_bytes)


def need_of(
    facts: ModelFacts, layout: Layout, wish: Wish, context_tokens: int, concurrency: int
) -> Need:
    """What one device of a layout must hold."""
    count = len(layout.devices)
    step = step_tokens(
        wish.engine,
        is_cpu=layout.is_cpu,
        device_bytes=layout.smallest_bytes,
        context_tokens=context_tokens,
    )
    return Need(
        weights=-(-_weights(facts, wish) // count),
        overheads=overheads(
            facts,
            wish.engine,
            is_cpu=layout.is_cpu,
            step=step,
            concurrency=concurrency,
            devices=count,
            tensor_parallel=layout.tensor_parallel,
        ),
        kv=_kv(facts, layout, _keeping(layout, wish, step), context_tokens),
    )


def memory_bytes(
    facts: ModelFacts, layout: Layout, wish: Wish, context_tokens: int, concurrency: int
) -> int:
    """What a load takes of all its devices together, uncorrected."""
    need = need_of(facts, layout, wish, context_tokens, concurrency)
    return need.total(concurrency) * len(layout.devices)


def _on(facts: ModelFacts, layout: Layout, wish: Wish, correction: Correction) -> Plan:
    usable = min(device.usable_bytes(wish.engine, wish.gpu_share) for device in layout.devices)
    room = int(usable / correction.factor)
    asked = wish.concurrency or 1
    largest = _largest_context(facts, layout, wish, room, 1)
    context = wish.context_tokens or _largest_context(facts, layout, wish, room, asked)
    context = max(context, min(SHORTEST_CONTEXT_TOKENS, facts.context_tokens or context or 1))
    need = need_of(facts, layout, wish, context, asked)
    concurrency = wish.concurrency or _concurrency(facts, layout, wish, room, context)
    need = need_of(facts, layout, wish, context, max(1, concurrency))
    fits = need.total(max(1, concurrency)) <= room
    count = len(layout.devices)
    return Plan(
        fits=fits,
        facts=facts,
        wish=wish,
        layout=layout,
        context_tokens=context,
        concurrency=max(1, concurrency),
        largest_context_tokens=largest,
        kv_bytes_per_token=_per_token(facts, wish),
        spread_bytes_per_token=_per_token(facts, wish, layout.tensor_parallel),
        growing_bytes_per_token=_per_token(facts, wish, growing=True),
        memory_bytes=round(need.total(max(1, concurrency)) * count * correction.factor),
        room_bytes=usable * count,
        need=need,
        correction=correction,
    )


def _largest_context(
    facts: ModelFacts, layout: Layout, wish: Wish, room: int, concurrency: int
) -> int:
    """By halving; 0 where not even the weights fit."""
    low, high = 0, facts.context_tokens or 1_048_576
    while low < high:
        middle = (low + high + 1) // 2
        if need_of(facts, layout, wish, middle, concurrency).total(concurrency) <= room:
            low = middle
        else:
            high = middle - 1
    return low


def _concurrency(
    facts: ModelFacts, layout: Layout, wish: Wish, room: int, context_tokens: int
) -> int:
    low, high = 0, REQUESTS_AT_MOST
    while low < high:
        middle = (low + high + 1) // 2
        if need_of(facts, layout, wish, context_tokens, middle).total(middle) <= room:
            low = middle
        else:
            high = middle - 1
    if wish.engine == "llamacpp" and low:
        # Its steps must divide among the requests where it also makes embeddings, or it aborts
        # at its start (GGML_ASSERT(ggml_can_mul_mat) in xllamacpp 2026.10.11549).
        return 1 << (low.bit_length() - 1)
    return low


def _keeping(layout: Layout, wish: Wish, step: int) -> Keeping:
    return keeping(
        wish.engine,
        is_cpu=layout.is_cpu,
        tensor_parallel=layout.tensor_parallel,
        element_bytes=wish.element_bytes,
        step=step,
    )


def _weights(facts: ModelFacts, wish: Wish) -> int:
    return facts.loaded_bytes if wish.engine == "vllm" else facts.weight_bytes


def _kv(facts: ModelFacts, layout: Layout, kept: Keeping, context_tokens: int) -> int:
    if facts.memories is None:
        return 0
    # Layers are as many on each device of a pipeline, and no device can hold half of one.
    return -(-sequence_bytes(facts.memories, kept, context_tokens) // layout.pipeline_parallel)


def _per_token(
    facts: ModelFacts, wish: Wish, devices: int = 1, *, growing: bool = False
) -> int | None:
    if facts.memories is None:
        return None
    kept = Keeping(element_bytes=wish.element_bytes, tensor_parallel=devices)
    return bytes_per_token(facts.memories, kept, growing=growing) * devices


def _nowhere(facts: ModelFacts, wish: Wish, correction: Correction) -> Plan:
    return Plan(
        fits=False,
        facts=facts,
        wish=wish,
        layout=None,
        context_tokens=wish.context_tokens or 0,
        concurrency=wish.concurrency or 1,
        largest_context_tokens=0,
        kv_bytes_per_token=_per_token(facts, wish),
        spread_bytes_per_token=None,
        growing_bytes_per_token=_per_token(facts, wish, growing=True),
        memory_bytes=facts.weight_bytes,
        room_bytes=0,
        need=Need(facts.weight_bytes, (), 0),
        correction=correction,
        reasons=("this machine has no device whose memory is known",),
    )
