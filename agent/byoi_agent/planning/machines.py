"""What a plan needs to know of a machine: its devices and the memory that an engine may take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

GIB: Final = 1024**3

Engine = Literal["vllm", "llamacpp"]

VLLM_SHARE: Final = 0.92
"""vLLM's own default of `--gpu-memory-utilization` (0.32.0); the rest is left to the driver."""

_LLAMACPP_MARGIN_BYTES: Final = GIB // 2
_SYSTEM_SHARE: Final = 0.10
_SYSTEM_BYTES: Final = 2 * GIB
"""What a machine without a GPU keeps for its system and its owner: a tenth, at least so much."""


@dataclass(frozen=True)
class PlanDevice:
    """One accelerator, or the processor with the machine's memory. None: it does not say."""

    index: int
    kind: str
    name: str
    memory_bytes: int
    free_bytes: int | None = None
    compute_capability: str | None = None

    @property
    def is_cpu(self) -> bool:
        """Whether it is the processor itself."""
        return self.kind == "cpu"

    def usable_bytes(self, engine: Engine, share: float | None = None) -> int:
        """What the engine may take of it; never more than is free."""
        free = self.memory_bytes if self.free_bytes is None else self.free_bytes
        if self.is_cpu:
            kept = max(_SYSTEM_BYTES, round(self.memory_bytes * _SYSTEM_SHARE))
            return max(0, self.memory_bytes - kept)
        if engine == "llamacpp":
            return max(0, free - _LLAMACPP_MARGIN_BYTES)
        return min(free, round(self.memory_bytes * (share or VLLM_SHARE)))
