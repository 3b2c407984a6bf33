"""What a node says of itself: devices, host, and the models that it offers."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from byoi_wire.ids import ModelId
from byoi_wire.usage import Count


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Device(_Message):
    """One accelerator; a field that it does not report is None, never zero."""

    index: int
    kind: Literal["nvidia", "amd", "intel", "apple", "cpu"]
    name: str
    memory_total_bytes: int | None = None
    memory_used_bytes: int | None = None
    compute_capability: str | None = None
    driver_version: str | None = None
    power_limit_watts: float | None = None


class Host(_Message):
    """The machine around the devices; no names, paths or serials."""

    os: str
    architecture: str
    cpu_name: str | None = None
    cpu_cores: int | None = None
    memory_total_bytes: int | None = None
    memory_available_bytes: int | None = None
    disk_free_bytes: int | None = None
    in_container: bool | None = None


class Prices(_Message):
    """What the owner asks for a million tokens; `currency` as in ISO 4217."""

    currency: str = Field(pattern=r"^[A-Z]{3}$")
    input: float = Field(ge=0)
    output: float = Field(ge=0)
    cached: float | None = Field(default=None, ge=0)


class Measured(_Message):
    """What a benchmark on this node found of a model, at Unix milliseconds `at_ms`.

    `decode_tokens_per_second` and `first_token_ms` are those of one request alone;
    `knee_concurrency` is the number of requests beyond which more of them add little, and
    `knee_tokens_per_second` what all of them get there together. `flops` are floating-point
    operations a second that were achieved, not those of a data sheet.
    """

    at_ms: Count
    engine: str
    first_token_ms: float = Field(ge=0)
    prefill_tokens_per_second: float | None = Field(default=None, ge=0)
    decode_tokens_per_second: float = Field(ge=0)
    knee_concurrency: int = Field(ge=1)
    knee_tokens_per_second: float = Field(ge=0)
    joules_per_token: float | None = Field(default=None, ge=0)
    flops: float | None = Field(default=None, ge=0)


class ModelOffer(_Message):
    """A model that this node serves, now or after it has loaded it.

    Where `is_loaded` is false, a request waits for about `load_seconds` (None: never measured), or
    goes where it is loaded. `base` is the model that an adapter lies over: they share `slots`,
    which is how many requests run there at once when it is loaded (None: the node's number).
    """

    id: ModelId
    engine: str
    routes: tuple[str, ...]
    context_tokens: int | None = None
    created_at: int = 0
    features: tuple[str, ...] = ()
    is_loaded: bool = True
    load_seconds: float | None = Field(default=None, ge=0)
    slots: Count | None = None
    base: ModelId | None = None
    prices: Prices | None = None
    measured: Measured | None = None
