"""The settings that are tables of the file: models to serve, the tariff of electricity, prices."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field

from byoi_agent.config.hours import HoursTable, Table

Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
"""As in ISO 4217: `EUR`, `USD`, `THB`."""

_REMOTE_CODE: Final = re.compile(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}")


class AdapterSetting(Table):
    """A LoRA adapter over a model, offered as a model of its own."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,90}$", description="what clients ask for"
    )
    path: Path = Field(description="folder of adapter_config.json and its safetensors")


class ModelSetting(Table):
    """One `[[models]]`: what is left out is as the setting of the same name says for all."""

    model: str = Field(
        min_length=1, description="name in the catalogue, in the store of models, or a folder"
    )
    engine: str | None = Field(default=None, description="as the setting engine")
    priority: int = Field(
        default=50, ge=0, le=100, description="who stays loaded where memory is short: higher"
    )
    load: Literal["start", "demand"] = Field(
        default="demand", description="with the node, or when the first request comes"
    )
    idle_unload_minutes: float | None = Field(
        default=None, gt=0, le=525_600, description="as the setting idle_unload_minutes"
    )
    context_tokens: int | None = Field(
        default=None, ge=128, le=10_000_000, description="as the setting context_tokens"
    )
    kv_cache_gib: float | None = Field(
        default=None, gt=0, le=1_000_000, description="as the setting kv_cache_gib"
    )
    gpu_memory_share: float | None = Field(
        default=None, gt=0, le=1, description="as the setting gpu_memory_share"
    )
    tensor_parallel: int | None = Field(
        default=None, ge=1, le=64, description="as the setting tensor_parallel"
    )
    slots: int | None = Field(default=None, ge=1, le=4096, description="as the setting slots")
    memory_gib: float | None = Field(
        default=None,
        gt=0,
        le=1_000_000,
        description="what it takes of the memory budget; reckoned from its files if unset",
    )
    gpus: tuple[Annotated[int, Field(ge=0, le=1023)], ...] | None = Field(
        default=None, description="numbers of the GPUs that it may use, as byoi devices shows them"
    )
    adapters: tuple[AdapterSetting, ...] = Field(
        default=(), description="LoRA adapters over it, each offered as a model"
    )
    prices: Prices | None = Field(default=None, description="as the setting prices")


class Prices(Table):
    """What the owner asks for a million tokens."""

    currency: Currency = Field(description="EUR, USD, …")
    input: float = Field(ge=0, le=1_000_000, description="for a million prompt tokens")
    output: float = Field(ge=0, le=1_000_000, description="for a million completion tokens")
    cached: float | None = Field(
        default=None,
        ge=0,
        le=1_000_000,
        description="for a million prompt tokens that were cached; as input if unset",
    )


class TariffWindow(HoursTable):
    """Hours with a price of their own; `until` before `since` goes over midnight."""

    price_per_kwh: float = Field(ge=0, le=1_000_000)


class Tariff(Table):
    """What electricity costs the owner; the first window that holds wins."""

    currency: Currency = Field(description="EUR, USD, …")
    price_per_kwh: float = Field(ge=0, le=1_000_000, description="outside of all windows")
    windows: tuple[TariffWindow, ...] = Field(default=(), description="hours that cost otherwise")
    other_watts: float = Field(
        default=0.0,
        ge=0,
        le=1_000_000,
        description="what the rest of the machine draws while it serves: nothing measures that",
    )


ModelSetting.model_rebuild()


def is_named_code(text: str) -> bool:
    """Whether it is `owner/name@revision`, with a whole commit: what may be named to run code."""
    return _REMOTE_CODE.fullmatch(text) is not None
