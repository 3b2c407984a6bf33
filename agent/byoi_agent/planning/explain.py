"""A plan in words: its arithmetic line by line, and the same as plain numbers for programs."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final, assert_never

from byoi_agent.planning.arguments import engine_arguments, settings
from byoi_agent.planning.cache import Attention, Latent, Memory, State
from byoi_agent.planning.machines import GIB

if TYPE_CHECKING:
    from byoi_agent.planning.fit import Plan
    from byoi_agent.planning.speed import Speed

_MIB: Final = 1024**2

Line = tuple[str, str]
"""What is reckoned, and how."""


def steps(plan: Plan, speed: Speed | None) -> list[Line]:
    """The arithmetic, in the order in which it is done."""
    facts, need = plan.facts, plan.need
    lines: list[Line] = [
        ("model", f"{facts.name} ({facts.model_type}), read from its {facts.origin}"),
        ("parameters", _parameters(plan)),
        ("weights", _weights(plan)),
        *_context(plan),
        *(("reserve", f"{one.what}: {size(one.size_bytes)}") for one in need.overheads),
    ]
    if plan.layout is None:
        return lines
    lines += [("devices", _devices(plan)), ("sum", _sum(plan))]
    if plan.correction.observations:
        lines.append(("learnt", _learnt(plan)))
    lines.append(("room", _room(plan)))
    return [*lines, ("speed", _speed(plan, speed))] if plan.fits else lines


def numbers(plan: Plan, speed: Speed | None) -> dict[str, Any]:
    """Every input and result, in bytes and tokens; what nobody knows is null."""
    facts, wish = plan.facts, plan.wish
    return {
        "model": facts.name,
        "model_type": facts.model_type,
        "origin": facts.origin,
        "quantisation": facts.quantisation,
        "engine": wish.engine,
        "parameters": facts.parameters,
        "active_parameters": facts.active_parameters,
        "weight_bytes": facts.weight_bytes,
        "kv_bytes_per_token": plan.kv_bytes_per_token,
        "kv_bytes_per_token_on_all_devices": plan.spread_bytes_per_token,
        "kv_bytes_per_token_beyond_windows": plan.growing_bytes_per_token,
        "kv_bytes_per_request": plan.need.kv * len(plan.devices),
        "kv_bytes": plan.kv_bytes,
        "kv_element_bytes": wish.element_bytes,
        "reserve_bytes": plan.reserve_bytes,
        "reserve": [
            {"what": one.what, "bytes_per_device": one.size_bytes} for one in plan.need.overheads
        ],
        "memory_bytes": plan.memory_bytes,
        "room_bytes": plan.room_bytes,
        "fits": plan.fits,
        "devices": [
            {
                "index": one.index,
                "kind": one.kind,
                "name": one.name,
                "memory_bytes": one.memory_bytes,
                "free_bytes": one.free_bytes,
                "usable_bytes": one.usable_bytes(wish.engine, wish.gpu_share),
            }
            for one in plan.devices
        ],
        "tensor_parallel": plan.tensor_parallel,
        "pipeline_parallel": plan.pipeline_parallel,
        "context_tokens": plan.context_tokens,
        "model_context_tokens": facts.context_tokens,
        "largest_context_tokens": plan.largest_context_tokens,
        "concurrency": plan.concurrency,
        "asked_context_tokens": wish.context_tokens,
        "asked_concurrency": wish.concurrency,
        "correction": {
            "factor": plan.correction.factor,
            "observations": plan.correction.observations,
            "error": plan.correction.error,
        },
        "expected": None
        if speed is None
        else {
            "decode_tokens_per_second": speed.decode,
            "decode_tokens_per_second_all": speed.decode_all,
            "prefill_tokens_per_second": speed.prefill,
            "bytes_per_step": speed.bytes_per_step,
            "source": speed.source,
        },
        "engine_arguments": engine_arguments(plan),
        "settings": settings(plan),
    }


def size(count: float) -> str:
    """Bytes for people."""
    if count >= GIB:
        return f"{count / GIB:,.2f} GiB"
    return f"{count / _MIB:,.1f} MiB" if count >= _MIB else f"{count:,.0f} bytes"


def _parameters(plan: Plan) -> str:
    facts = plan.facts
    if not facts.experts:
        return f"{facts.parameters:,}"
    return (
        f"{facts.parameters:,}, of which a token needs {facts.active_parameters:,} "
        f"({facts.active_experts} of {facts.experts} experts)"
    )


def _weights(plan: Plan) -> str:
    facts = plan.facts
    each = facts.weight_bytes / max(1, facts.parameters)
    told = f"{facts.parameters:,} x {each:.4g} bytes ({facts.quantisation})"
    return f"{told} = {size(facts.weight_bytes)}"


def _context(plan: Plan) -> list[Line]:
    if plan.facts.memories is None:
        return [("context", "nobody knows how this architecture remembers: only weights count")]
    lines = [("context", _layers(one, count, plan)) for one, count in _alike(plan.facts.memories)]
    if plan.kv_bytes_per_token:
        lines.append(("context", f"together {plan.kv_bytes_per_token:,} bytes for each token"))
    if (plan.spread_bytes_per_token or 0) > (plan.kv_bytes_per_token or 0):
        copied = f"{plan.spread_bytes_per_token:,} on all devices, as several keep the same heads"
        lines.append(("context", copied))
    each = plan.need.kv * max(1, len(plan.devices))
    whole = f"a request of {plan.context_tokens:,} tokens takes {size(each)}"
    return [*lines, ("context", whole)] if plan.layout else lines


def _alike(memories: tuple[Memory, ...]) -> list[tuple[Memory, int]]:
    return list(Counter(memories).items())


def _layers(memory: Memory, count: int, plan: Plan) -> str:
    width = f"{plan.wish.element_bytes:g} bytes"
    match memory:
        case Attention():
            span = f", the newest {memory.window_tokens:,} tokens" if memory.window_tokens else ""
            vectors = f"{memory.kv_heads} KV heads x ({memory.key_size} + {memory.value_size})"
            return f"{count} layers x {vectors} x {width}{span}"
        case Latent():
            return f"{count} layers x {memory.size} x {width}, one vector for all heads"
        case State():
            return f"{count} layers keep a state of {memory.elements:,} numbers, however long"
        case _:
            assert_never(memory)


def _devices(plan: Plan) -> str:
    names = Counter(device.name for device in plan.devices)
    told = ", ".join(f"{count} x {name}" if count > 1 else name for name, count in names.items())
    divided = [
        f"{word} {degree}"
        for word, degree in (
            ("tensor parallel", plan.tensor_parallel),
            ("pipeline parallel", plan.pipeline_parallel),
        )
        if degree > 1
    ]
    return f"{told} ({', '.join(divided)})" if divided else told


def _sum(plan: Plan) -> str:
    need = plan.need
    total = need.total(plan.concurrency)
    requests = f"{plan.concurrency} x {size(need.kv)} of context"
    each = " on each device" if len(plan.devices) > 1 else ""
    reserve = size(need.fixed - need.weights)
    return f"{size(need.weights)} + {reserve} + {requests} = {size(total)}{each}"


def _learnt(plan: Plan) -> str:
    known = plan.correction
    error = known.error or 0.0
    loads = "the last load" if known.observations == 1 else f"the last {known.observations} loads"
    return (
        f"{loads} like it took {abs(error):.1%} {'less' if error < 0 else 'more'} than reckoned; "
        f"corrected: x {known.factor:.3f} = {size(plan.memory_bytes)}"
    )


def _room(plan: Plan) -> str:
    verdict = "it fits" if plan.fits else "it does not fit"
    longest = f"; one request alone could have {plan.largest_context_tokens:,} tokens"
    return f"{size(plan.room_bytes)} may be taken: {verdict}{longest if plan.fits else ''}"


def _speed(plan: Plan, speed: Speed | None) -> str:
    if speed is None:
        names = ", ".join(dict.fromkeys(device.name for device in plan.devices))
        return f"unknown: no data sheet of {names} here; `byoi bench` measures it"
    return (
        f"at most {speed.decode:,.0f} tokens/s for one request, {speed.decode_all:,.0f} for "
        f"{plan.concurrency} at once, prompts at {speed.prefill:,.0f} tokens/s, by {speed.source}"
    )
