"""vLLM's command line and environment, worked out from what was chosen."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from byoi_agent.engine.kinds.vllm_families import Parsers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from byoi_agent.engine.kinds.vllm_releases import Build

_GIB: Final = 1024**3
_QUIET_PATHS: Final = "/health,/load,/metrics,/ping,/v1/models"
_SAMPLING: Final = {  # the catalogue holds llama.cpp's names
    "temp": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "repeat_penalty": "repetition_penalty",
}
_DTYPE_BYTES: Final = {"float32": 4, "float": 4}  # others are two wide, or less


@dataclass(frozen=True)
class Launch:
    """What one vLLM shall be.

    `kv_gib` is memory for the context of all requests, in GiB, for each GPU; `gpu_share` is the
    part of a GPU's memory that it may take in all, used where `kv_gib` is not given. `gpus` is how
    many work together on each token. `adapters` of at most `adapter_rank` share each batch; 0 of
    them: it takes none, and spends nothing on them. `runs_own_code`: the owner named this model, at
    this commit, as one whose own code may run. `own_seats` are beyond the slots, for requests with
    a priority.
    """

    build: Build
    python: str
    model_folder: str
    served_name: str
    socket_path: str
    scratch_folder: str
    cache_folder: str
    context_tokens: int
    slots: int
    shutdown_seconds: int
    kv_gib: float | None = None
    gpu_share: float | None = None
    gpus: int = 1
    sampling: Mapping[str, float] = field(default_factory=dict)
    parsers: Parsers = field(default_factory=Parsers)
    adapters: int = 0
    adapter_rank: int = 0
    runs_own_code: bool = False
    own_seats: int = 0


def argv_of(launch: Launch) -> tuple[str, ...]:
    """The command line.

    Usage is not forced upon every stream (`--enable-force-include-usage`): that flag puts it into
    each chunk of every answer, and the serving side asks for it by itself.
    """
    return (
        *(launch.python, "-I", "-m", "vllm.entrypoints.cli.main", "serve", launch.model_folder),
        *("--served-model-name", launch.served_name),
        *("--uds", launch.socket_path),
        *("--max-model-len", str(launch.context_tokens)),
        *("--max-num-seqs", str(launch.slots + launch.own_seats)),
        *(("--scheduling-policy", "priority") if launch.own_seats else ()),
        *("--shutdown-timeout", str(launch.shutdown_seconds)),
        *("--generation-config", "vllm"),  # the catalogue's defaults alone, not the model's own
        *_sampling(launch.sampling),
        "--enable-prompt-tokens-details",
        "--enable-server-load-tracking",
        *("--disable-access-log-for-endpoints", _QUIET_PATHS),
        *_parsers(launch.parsers),
        *_adapters(launch),
        *(("--trust-remote-code",) if launch.runs_own_code else ()),
        *_device(launch),
    )


def environment_of(launch: Launch) -> dict[str, str]:
    """What it is told besides; nothing of it may leave the machine, nor listen beyond it."""
    environment = {
        "DO_NOT_TRACK": "1",
        # Gloo and NCCL listen at the address that the machine's own name stands for, else.
        "GLOO_SOCKET_IFNAME": "lo",
        "HF_HUB_OFFLINE": "1",
        # Spinning threads starve everything else on a small machine.
        "KMP_BLOCKTIME": "0",
        "NCCL_SOCKET_IFNAME": "lo",
        "OMP_WAIT_POLICY": "PASSIVE",
        "VLLM_CACHE_ROOT": launch.cache_folder,
        "VLLM_HOST_IP": "127.0.0.1",
        "VLLM_NO_USAGE_STATS": "1",
        # Its own sockets: a deep temporary folder makes paths that are too long for them.
        "VLLM_RPC_BASE_PATH": launch.scratch_folder,
    }
    if launch.adapters:
        # Two more routes that answer without a key, for the same reason only ever on our socket.
        environment["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] = "1"
    if launch.build == "cpu":
        environment["VLLM_CPU_KVCACHE_SPACE"] = str(math.ceil(launch.kv_gib or 1))
    else:
        # The routes for sleeping; they answer without a key, hence only ever on a socket of ours.
        environment["VLLM_SERVER_DEV_MODE"] = "1"
    return environment


def default_kv_gib(config: Mapping[str, Any], context_tokens: int, slots: int) -> int:
    """Memory that holds the full context of every slot, in whole GiB, at least one.

    For dense attention, which needs the most: two tensors of layers by KV heads by head size.
    """
    inner = config.get("text_config")
    text = inner if inner and isinstance(inner, dict) else config
    heads = _count(text, "num_attention_heads") or 1
    kv_heads = _count(text, "num_key_value_heads") or heads
    head = _count(text, "head_dim") or _count(text, "hidden_size") // heads
    layers = _count(text, "num_hidden_layers")
    dtype = str(text.get("dtype") or text.get("torch_dtype") or config.get("dtype"))
    per_token = 2 * layers * kv_heads * head * _DTYPE_BYTES.get(dtype, 2)
    return max(1, math.ceil(per_token * context_tokens * slots / _GIB))


def _count(text: Mapping[str, Any], name: str) -> int:
    """One of its numbers; of a list, which has one for each layer, the largest. Else none."""
    value = text.get(name)
    given = value if isinstance(value, list) else [value]
    return max((one for one in given if isinstance(one, int) and one > 0), default=0)


def _sampling(sampling: Mapping[str, float]) -> tuple[str, ...]:
    if not sampling:
        return ()
    named = {_SAMPLING[name]: value for name, value in sampling.items()}
    return ("--override-generation-config", json.dumps(named, sort_keys=True))


def _parsers(parsers: Parsers) -> tuple[str, ...]:
    tools = parsers.tools
    called = ("--enable-auto-tool-choice", "--tool-call-parser", tools) if tools else ()
    return (*called, *(("--reasoning-parser", parsers.reasoning) if parsers.reasoning else ()))


def _adapters(launch: Launch) -> tuple[str, ...]:
    if not launch.adapters:
        return ()
    return (
        "--enable-lora",
        *("--max-loras", str(launch.adapters)),
        *("--max-lora-rank", str(launch.adapter_rank)),
    )


def _device(launch: Launch) -> tuple[str, ...]:
    if launch.build == "cpu":
        return ("--enforce-eager",)  # compiling takes a minute of a small machine's start
    memory: tuple[str, ...] = ()
    if launch.kv_gib is not None:
        memory = ("--kv-cache-memory-bytes", str(int(launch.kv_gib * _GIB)))
    elif launch.gpu_share is not None:
        memory = ("--gpu-memory-utilization", str(launch.gpu_share))
    return (*memory, *("--tensor-parallel-size", str(launch.gpus)), "--enable-sleep-mode")
