"""What the control API says of settings, as models."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from byoi_agent.control.schema import ReloadReport

Source = Literal["flag", "environment", "file", "default"]


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class SettingStatus(_Told):
    """One setting, as a start now would find it, and who set it.

    `holds` is what the running node has, where that is something else: until a reload, or the
    restart that `changes_at` tells of. Secrets are hidden.
    """

    name: str
    value: Any = None
    source: Source
    changes_at: Literal["reload", "restart"]
    holds: Any = None
    is_pending: bool = False


class ConfigReport(_Told):
    """All settings, and the file that the owner's are written into."""

    file: str | None = None
    settings: tuple[SettingStatus, ...] = ()


class SettingFact(_Told):
    """What a setting is: its flag, variable and default; `type` as in JSON Schema.

    One that is `is_settable` takes a new value by this API.
    """

    name: str
    description: str
    type: dict[str, Any]
    default: Any = None
    changes_at: Literal["reload", "restart"]
    flag: str | None = None
    variable: str | None = None
    is_secret: bool = False
    is_settable: bool = True


class ConfigSchema(_Told):
    """Every setting there is, and the JSON Schema of the whole file."""

    settings: tuple[SettingFact, ...]
    json_schema: dict[str, Any]


class SettingOrder(BaseModel):
    """The new value; null takes the setting out of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: Any


class SettingChange(_Told):
    """What became of it: `overruled_by` says who wins over the file, where anybody does."""

    setting: SettingStatus
    reloaded: ReloadReport
    overruled_by: Source | None = None
