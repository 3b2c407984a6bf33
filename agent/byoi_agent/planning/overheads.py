"""What an engine takes besides weights and context: libraries, one step's numbers, its scores.

The constants are measured where a line says so, else read from the engine's code; the correction
that earlier loads on this machine taught is applied to the whole (`calibration.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from byoi_agent.planning.cache import Keeping
from byoi_agent.planning.machines import GIB

if TYPE_CHECKING:
    from byoi_agent.planning.facts import ModelFacts
    from byoi_agent.planning.machines import Engine

LLAMACPP_STEP_TOKENS: Final = 1024
"""As `serve_llamacpp.py` sets it: an embedding's input must fit into one step."""

_MIB: Final = 1024**2
_VLLM_CPU_BYTES: Final = 1600 * _MIB
"""Three processes that each import torch; measured of vLLM 0.32.0 with SmolLM2: 3.02 GB, what they
share counted once, less 0.27 GB of weights and 1 GiB of context."""
_LLAMACPP_BYTES: Final = 48 * _MIB
"""Its process, measured of 2026.10.11549: what is left of ten loads' peaks without all the rest."""
_CUDA_BYTES: Final = 600 * _MIB
_NCCL_BYTES: Final = 400 * _MIB
_GRAPHS_BYTES: Final = 512 * _MIB
_GGML_CUDA_BYTES: Final = 400 * _MIB
_STEP_HIDDEN: Final = 8
_STEP_INNER: Final = 3
_LARGE_GPU_BYTES: Final = 70 * GIB
_LARGEST_GPU_BYTES: Final = 160 * GIB


class Overhead(NamedTuple):
    """One thing that takes memory on each device."""

    what: str
    size_bytes: int


def step_tokens(engine: Engine, *, is_cpu: bool, device_bytes: int, context_tokens: int) -> int:
    """Tokens that the engine computes at once: vLLM 0.32.0's default for a server by the GPU."""
    if engine == "llamacpp":
        return min(LLAMACPP_STEP_TOKENS, context_tokens)
    if not is_cpu and device_bytes >= _LARGEST_GPU_BYTES:
        return 16_384
    return 8192 if not is_cpu and device_bytes >= _LARGE_GPU_BYTES else 2048


def keeping(
    engine: Engine,
    *,
    is_cpu: bool,
    tensor_parallel: int = 1,
    element_bytes: float = 2,
    step: int = 2048,
) -> Keeping:
    """How the engine keeps a context: vLLM in blocks of 16 tokens (128 on a CPU).

    llama.cpp rounds each slot up to 256 cells (`GGML_PAD(n_ctx_seq, 256)`), and keeps a state's
    numbers in 32 bits.
    """
    if engine == "llamacpp":
        return Keeping(element_bytes, 4, 256, step, 1)
    return Keeping(element_bytes, 2, 128 if is_cpu else 16, step, tensor_parallel)


def overheads(
    facts: ModelFacts,
    engine: Engine,
    *,
    is_cpu: bool,
    step: int,
    concurrency: int,
    devices: int = 1,
    tensor_parallel: int = 1,
) -> tuple[Overhead, ...]:
    """Everything else on one device."""
    width = _STEP_HIDDEN * facts.hidden_size + _STEP_INNER * facts.inner_size // tensor_parallel
    if engine == "llamacpp":
        base = _LLAMACPP_BYTES + (0 if is_cpu else _GGML_CUDA_BYTES)
        # Scores in 32 bits for every token of a step, once a long input was embedded: they are
        # computed in the step's buffer and copied to the output's, and both stay.
        scored = step * facts.vocabulary * 4
        return (
            Overhead("the engine itself", base),
            Overhead(f"a step of {step} tokens", step * width * 2 + scored),
            Overhead("scores of that step, copied out", scored),
        )
    scores = Overhead("scores of all words", concurrency * facts.vocabulary * 4 * 2)
    activations = Overhead(f"a step of {step} tokens", step * width * facts.dtype_bytes)
    if is_cpu:
        return Overhead("the engine's processes", _VLLM_CPU_BYTES), activations, scores
    libraries = _CUDA_BYTES + (_NCCL_BYTES if devices > 1 else 0)
    return (
        Overhead("CUDA and its libraries", libraries),
        Overhead("CUDA graphs", _GRAPHS_BYTES),
        activations,
        scores,
    )
