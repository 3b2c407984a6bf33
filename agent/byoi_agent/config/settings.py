"""Everything an owner may choose, in one frozen model; `loading.py` finds out what he chose."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, field_validator

from byoi_agent.config.addresses import HIDDEN, without_secrets, without_secrets_in
from byoi_agent.config.availability import Idle, Protect, Schedule
from byoi_agent.config.hours import visible
from byoi_agent.config.tables import ModelSetting, Prices, Tariff, is_named_code
from byoi_agent.config.update import Update

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic_core import ErrorDetails

Source = Literal["flag", "environment", "file", "default"]

PRECEDENCE: Final[tuple[Source, ...]] = ("flag", "environment", "file", "default")
"""Who wins, highest first."""

ENVIRONMENT_PREFIX: Final = "BYOI_"

ENGINES: Final = ("llamacpp", "vllm")
"""Engines that this version starts itself; a URL attaches one that runs already."""

_VLLM_VERSION: Final = re.compile(r"vllm@\d+(\.\d+){1,3}")

LIVE: Final = frozenset(
    {
        "engine",
        "engine_api_key",
        "model",
        "context_tokens",
        "kv_cache_gib",
        "gpu_memory_share",
        "tensor_parallel",
        "models",
        "memory_budget_gib",
        "idle_unload_minutes",
        "model_disk_gib",
        "downloads",
        "hub",
        "remote_code",
        "tariff",
        "prices",
        "stop_loss",
        "mode",
        "idle",
        "schedule",
        "protect",
        "dedicated_to",
        "local_key_file",
        "slots",
        "queue",
        "drain_seconds",
        "probe_seconds",
        "log_format",
        "log_level",
        "log_file",
        "update",
    }
)
"""Settings that a running node takes over when it is told to read them again."""

TABLES: Final = frozenset(
    {"models", "remote_code", "tariff", "prices", "idle", "schedule", "protect", "update"}
)
"""Settings that only the file can give: neither a flag nor a variable has room for them."""


class Settings(BaseModel):
    """One value per choice; flags are `--name-with-dashes`, variables `BYOI_NAME`, TOML `name`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    console: str | None = Field(
        default=None, description="URL of the console; the one it was enrolled with if unset"
    )
    engine: str = Field(
        default="llamacpp",
        description="llamacpp, vllm, vllm@VERSION, or the URL of an OpenAI-compatible server",
    )
    engine_api_key: str | None = Field(
        default=None, repr=False, description="bearer key of an attached engine"
    )
    model: str | None = Field(
        default=None,
        description="model to serve, for vllm also a folder of safetensors; the engine's own if "
        "unset",
    )
    context_tokens: int | None = Field(
        default=None,
        ge=128,
        le=10_000_000,
        description="longest context of a request; the engine's own choice if unset",
    )
    kv_cache_gib: float | None = Field(
        default=None,
        gt=0,
        le=1_000_000,
        description="memory of vllm for the context of all requests, for each GPU, in GiB",
    )
    gpu_memory_share: float | None = Field(
        default=None, gt=0, le=1, description="part of each GPU's memory that vllm may take"
    )
    vllm_python: Path | None = Field(
        default=None,
        description="interpreter of an environment that has vllm already, as vLLM's container "
        "image; one of byoi's own if unset",
    )
    tensor_parallel: int = Field(
        default=1, ge=1, le=64, description="GPUs over which vllm divides the model"
    )
    slots: int | None = Field(
        default=None, ge=1, le=4096, description="requests run at once; the engine's own if unset"
    )
    queue: int | None = Field(
        default=None,
        ge=0,
        le=4096,
        description="requests that may wait; four for each slot, at least 32, if unset",
    )
    models: tuple[ModelSetting, ...] = Field(
        default=(), max_length=64, description="several models on this node, each a [[models]]"
    )
    memory_budget_gib: float | None = Field(
        default=None,
        gt=0,
        le=1_000_000,
        description="memory that all loaded models may take together; that of the GPUs if unset",
    )
    idle_unload_minutes: float | None = Field(
        default=None,
        gt=0,
        le=525_600,
        description="a model that nobody asked for so long gives its memory back; never if unset",
    )
    model_disk_gib: float | None = Field(
        default=None,
        gt=0,
        le=10_000_000,
        description="disk that pulled models may take; the longest unused ones go first",
    )
    downloads: Literal["allowed", "never"] = Field(
        default="allowed", description="whether models may be fetched, or only those here served"
    )
    hub: str | None = Field(
        default=None,
        description="URL of the hub that models come from; HF_ENDPOINT, else huggingface.co",
    )
    remote_code: tuple[str, ...] = Field(
        default=(),
        max_length=64,
        description="models whose own code may run, each as owner/name@commit; none if unset",
    )
    tariff: Tariff | None = Field(
        default=None, description="what electricity costs, with hours of their own: [tariff]"
    )
    prices: Prices | None = Field(default=None, description="what a million tokens cost: [prices]")
    stop_loss: Literal["off", "on"] = Field(
        default="off", description="take no request whose energy costs more than it earns"
    )
    mode: Literal["dedicated", "idle", "scheduled"] | None = Field(
        default=None,
        description="dedicated: always serves; idle: while its owner is away; scheduled: in the "
        "windows of [schedule]; what was chosen at the enrolment if unset",
    )
    idle: Idle = Field(default=Idle(), description="what makes the machine its owner's: [idle]")
    schedule: Schedule = Field(
        default=Schedule(), description="windows, quiet hours and forecasts: [schedule]"
    )
    protect: Protect = Field(
        default=Protect(), description="limits that spare the machine: [protect]"
    )
    dedicated_to: str | None = Field(
        default=None,
        max_length=200,
        description="organisation that gets this node for itself as soon as it asks",
    )
    local_api: Literal["on", "off"] = Field(
        default="on", description="/v1 on loopback for the owner's own programs, ahead of guests"
    )
    local_port: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="its port; 2964 if unset, and any other where that is taken; 0 = any",
    )
    local_key_file: Path | None = Field(
        default=None, description="file with the key that programs must show; none needed if unset"
    )
    data_dir: Path | None = Field(default=None, description="where identity and usage are kept")
    cache_dir: Path | None = Field(default=None, description="where engines and models are kept")
    runtime_dir: Path | None = Field(default=None, description="where sockets are made")
    key_store: Literal["auto", "credential", "keyring", "file"] = Field(
        default="auto", description="where the node's private key lies"
    )
    ca_file: Path | None = Field(
        default=None, description="certificates to trust besides the system's, as PEM"
    )
    drain_seconds: float = Field(
        default=30.0, ge=0, le=3600, description="time for running requests when told to stop"
    )
    probe_seconds: float = Field(
        default=5.0, ge=0.5, le=3600, description="how often the hardware is read"
    )
    control_port: int = Field(
        default=0, ge=0, le=65535, description="loopback port of the control API; 0 = any"
    )
    log_format: Literal["auto", "human", "json"] = Field(
        default="auto", description="human on a terminal, JSON otherwise, or as said"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="least important line that is written"
    )
    log_file: str = Field(
        default="auto",
        min_length=1,
        description="file of the log: auto (in the data folder, unless the journal has it), none, "
        "or a path",
    )
    metrics_port: int | None = Field(
        default=None,
        ge=1,
        le=65535,
        description="loopback port that serves /metrics alone, without a token; none if unset",
    )
    update: Update = Field(default=Update(), description="newer versions of byoi: [update]")

    @field_validator("*", mode="before")
    @classmethod
    def _something(cls, value: object) -> object:
        if isinstance(value, bool):  # which would count as 1 or 0
            raise ValueError("true and false mean nothing here")  # noqa: TRY004 pydantic's way
        if value == "":  # as a path it would be the folder one happens to be in
            raise ValueError("there is nothing in it; leave it out for the default")
        return visible(value)

    @field_validator("remote_code")
    @classmethod
    def _named_code(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if not is_named_code(name):
                raise ValueError(f"{name!r} is not owner/name@commit with the commit's 40 digits")
        return value

    @field_validator("hub")
    @classmethod
    def _hub_address(cls, value: str | None) -> str | None:
        if value is None or _is_web_address(value):
            return value
        raise ValueError(f"{value!r} is no address of a hub; it looks like https://hub.example")

    @field_validator("console")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        if value is None or _is_web_address(value):
            return value
        raise ValueError(f"{value!r} is no console address; it looks like https://console.example")

    @field_validator("engine")
    @classmethod
    def _known_engine(cls, value: str) -> str:
        if value in ENGINES or value.startswith("unix:/") or _is_web_address(value):
            return value
        if _VLLM_VERSION.fullmatch(value):
            return value
        choices = ", ".join([*ENGINES, "vllm@VERSION"])
        raise ValueError(f"unknown engine {value!r}; use {choices}, or a URL")


SECRETS: Final = frozenset({"engine_api_key"})
"""Settings that are never shown."""


def shown(name: str, value: object) -> object:
    """A setting's value as people and programs may see it, in JSON's types."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if name in TABLES:
        table = TypeAdapter(object).dump_python(
            value, mode="json", exclude_none=True, exclude_defaults=True
        )
        return without_secrets_in(table)
    return HIDDEN if name in SECRETS else without_secrets(str(value))


def variable_of(name: str) -> str:
    """The environment variable of a setting."""
    return ENVIRONMENT_PREFIX + name.upper()


def flag_of(name: str) -> str:
    """The command-line flag of a setting."""
    return "--" + name.replace("_", "-")


def nearest(word: str, known: Iterable[str]) -> str:
    """The end of a sentence about a wrong name: the one that was probably meant, if any."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _is_web_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


def reason_of(error: ErrorDetails) -> str:
    """Why a value does not fit, in the model's own words; with the place inside of a table."""
    inside = error["loc"][1:]
    place = "".join(f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in inside)
    reason = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        reason = "unknown key"
    return f"{place.removeprefix('.')}: {reason}" if place else reason
