"""How fast it can be expected to answer: by memory for one token, by arithmetic for a prompt.

A step that makes one token for each of some requests reads every weight on its way once, and each
request's context; it cannot be faster than the memory. A prompt's tokens are computed at once, two
operations for each parameter and token, and cannot be faster than the arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from byoi_agent.planning.accelerators import rates_of
from byoi_agent.planning.cache import bytes_per_token, sequence_bytes
from byoi_agent.planning.overheads import keeping

if TYPE_CHECKING:
    from byoi_agent.planning.accelerators import Rates
    from byoi_agent.planning.facts import ModelFacts
    from byoi_agent.planning.fit import Plan

MEMORY_EFFICIENCY: Final = 0.70
"""Share of the data sheet's bandwidth that generating reaches; an assumption, between the 60 and
80 % that engines show on large cards. Measured speeds of this machine come from `byoi bench`."""

COMPUTE_EFFICIENCY: Final = 0.45
"""Share of the data sheet's FLOP/s that a long prompt reaches; an assumption as well."""

TENSOR_PARALLEL_EFFICIENCY: Final = 0.85
"""What is left of each device where several share a layer and wait for each other."""


@dataclass(frozen=True)
class Speed:
    """Tokens a second. `decode` is for one request, `decode_all` for all that run at once.

    `bytes_per_step` is what one step reads with all requests, on all devices together.
    """

    decode: float
    decode_all: float
    prefill: float
    bytes_per_step: int
    source: str


def expect(plan: Plan) -> Speed | None:
    """By the data sheets; None where there is none for a device, or nobody knows the model."""
    rates = [rates_of(device.name) for device in plan.devices]
    known = [rate for rate in rates if rate is not None]
    if not known or len(known) < len(rates) or plan.facts.memories is None:
        return None
    bandwidth, flops = _together(plan, known)
    one = _step_seconds(plan, 1, bandwidth, flops)
    every = _step_seconds(plan, plan.concurrency, bandwidth, flops)
    return Speed(
        decode=1 / one,
        decode_all=plan.concurrency / every,
        prefill=flops / (2 * max(1, plan.facts.computed_parameters)),
        bytes_per_step=_step_bytes(plan, plan.concurrency),
        source="data sheets",
    )


def weights_read(facts: ModelFacts, requests: int) -> float:
    """Bytes of weights that one step reads for so many requests.

    Each of them picks its experts by itself: of E in a layer, k each, n requests reach
    E (1 - (1 - k/E)^n) different ones on average.
    """
    if not facts.experts:
        return facts.read_bytes
    share = facts.active_experts / facts.experts
    reached = facts.experts * (1 - (1 - share) ** requests) / max(1, facts.active_experts)
    return facts.read_bytes - facts.expert_bytes + facts.expert_bytes * reached


def _together(plan: Plan, rates: list[Rates]) -> tuple[float, float]:
    """Bandwidth and FLOP/s reached by devices that share layers; those in turn do not add up."""
    count = plan.tensor_parallel
    slowest = min(rate.bytes_per_second for rate in rates), min(rate.flops for rate in rates)
    share = TENSOR_PARALLEL_EFFICIENCY if count > 1 else 1.0
    return (
        slowest[0] * count * share * MEMORY_EFFICIENCY,
        slowest[1] * count * share * COMPUTE_EFFICIENCY,
    )


def _step_seconds(plan: Plan, requests: int, bandwidth: float, flops: float) -> float:
    reading = _step_bytes(plan, requests) / bandwidth
    computing = 2 * plan.facts.computed_parameters * requests / flops
    return max(reading, computing)


def _step_bytes(plan: Plan, requests: int) -> int:
    """Weights, and half a context of each request: it grows from nothing to the whole of it."""
    kept = keeping(plan.wish.engine, is_cpu=False, element_bytes=plan.wish.element_bytes, step=0)
    memories = plan.facts.memories or ()
    context = sequence_bytes(memories, kept, plan.context_tokens // 2)
    written = bytes_per_token(memories, kept)
    return round(weights_read(plan.facts, requests) + requests * (context + written))
