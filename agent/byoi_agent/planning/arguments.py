"""A plan as an engine's command line, and as the settings of byoi that mean the same."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from byoi_agent.planning.machines import VLLM_SHARE

if TYPE_CHECKING:
    from byoi_agent.planning.fit import Plan


def engine_arguments(plan: Plan) -> list[str]:
    """For vLLM, or for llama.cpp's server; the model and where to listen are the caller's."""
    return _llamacpp(plan) if plan.wish.engine == "llamacpp" else _vllm(plan)


def settings(plan: Plan) -> dict[str, str | int | float]:
    """The settings of this node that make it load the model so."""
    found: dict[str, str | int | float] = {
        "engine": plan.wish.engine,
        "context_tokens": plan.context_tokens,
        "slots": plan.concurrency,
    }
    if plan.wish.engine == "vllm":
        if plan.tensor_parallel > 1:
            found["tensor_parallel"] = plan.tensor_parallel
        if (share := _share(plan)) is not None:
            found["gpu_memory_share"] = share
    return found


def _vllm(plan: Plan) -> list[str]:
    arguments = [
        *("--max-model-len", str(plan.context_tokens)),
        *("--max-num-seqs", str(plan.concurrency)),
    ]
    if plan.layout is None or plan.layout.is_cpu:
        return [*arguments, "--enforce-eager"]
    if plan.tensor_parallel > 1:
        arguments += ["--tensor-parallel-size", str(plan.tensor_parallel)]
    if plan.pipeline_parallel > 1:
        arguments += ["--pipeline-parallel-size", str(plan.pipeline_parallel)]
    if (share := _share(plan)) is not None:
        arguments += ["--gpu-memory-utilization", str(share)]
    if plan.wish.element_bytes == 1:
        arguments += ["--kv-cache-dtype", "fp8"]
    return arguments


def _llamacpp(plan: Plan) -> list[str]:
    arguments = [
        *("--ctx-size", str(plan.context_tokens * plan.concurrency)),
        *("--parallel", str(plan.concurrency)),
    ]
    if plan.layout is not None and not plan.layout.is_cpu:
        arguments += ["--n-gpu-layers", str(plan.facts.layers + 1)]
    if plan.wish.element_bytes == 1:
        arguments += ["--cache-type-k", "q8_0", "--cache-type-v", "q8_0"]
    return arguments


def _share(plan: Plan) -> float | None:
    """Where others hold memory already, vLLM must be told to take less than it would."""
    if plan.layout is None or plan.layout.is_cpu:
        return None
    if plan.wish.gpu_share is not None:
        return plan.wish.gpu_share
    taken = [
        device.usable_bytes("vllm") / device.memory_bytes
        for device in plan.layout.devices
        if device.usable_bytes("vllm") < round(device.memory_bytes * VLLM_SHARE)
    ]
    return math.floor(min(taken) * 100) / 100 if taken else None
