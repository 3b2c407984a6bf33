"""The table of the file that says when and from where newer versions of byoi come."""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from byoi_agent.config.availability import OnOff, Window
from byoi_agent.config.hours import Table


class Update(Table):
    """`[update]`: newer versions of byoi; which one, the signed index alone says."""

    automatic: OnOff = Field(
        default="on", description="newer versions are installed by themselves, else only told"
    )
    ring: Literal["stable", "beta"] = Field(
        default="stable", description="beta gets each version earlier"
    )
    index: str | None = Field(
        default=None,
        description="URL or folder of the signed index; the installation's own if unset",
    )
    windows: tuple[Window, ...] = Field(
        default=(),
        max_length=100,
        description="when they may be installed by themselves; at any time if there is none",
    )
    drain_minutes: float = Field(
        default=10.0,
        ge=0,
        le=1440,
        description="how long requests may run on before; an update that waits longer is put off",
    )
    proof_seconds: float = Field(
        default=600.0,
        ge=1,
        le=7200,
        description="how soon the new version must serve again; else the old one comes back",
    )

    @field_validator("index")
    @classmethod
    def _reachable(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if urlsplit(value).scheme in {"http", "https", "file"} or Path(value).is_absolute():
            return value
        raise ValueError(f"{value!r} is neither a URL (https://…) nor a folder with its whole path")
