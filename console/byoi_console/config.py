"""The console's settings: one frozen model, and where each value comes from.

Precedence, highest first: flags of the command, `BYOI_CONSOLE_*` variables, defaults.
"""

from __future__ import annotations

import os
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from byoi_console.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

ENVIRONMENT_PREFIX: Final = "BYOI_CONSOLE_"


def default_data_dir() -> Path:
    """Where a console's state lies unless it is told otherwise (XDG's state folder)."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "byoi-console"


class Settings(BaseModel):
    """Everything that an operator can choose; unknown names are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = "127.0.0.1"
    port: int = Field(default=8700, ge=0, le=65535)
    data_dir: Path = Field(default_factory=default_data_dir)
    origin: str | None = None
    database_url: str | None = None
    log_format: Literal["human", "json"] = "human"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    drain_seconds: float = Field(default=30.0, ge=0)

    @field_validator("origin")
    @classmethod
    def _is_origin(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        is_web = parts.scheme in {"http", "https"} and parts.hostname
        if not is_web or parts.path not in {"", "/"} or parts.query or parts.fragment:
            raise ValueError("must be scheme://host[:port] without a path")
        return value.rstrip("/")

    @property
    def database(self) -> str:
        """SQLAlchemy's URL of the database: the one given, else a file in the data folder."""
        return (
            self.database_url or f"sqlite+aiosqlite:///{self.data_dir.absolute()}/console.sqlite3"
        )


def load(flags: Mapping[str, object], environment: Mapping[str, str]) -> Settings:
    """The settings of this run.

    Args:
        flags: values given on the command line; None means "not given".
        environment: the process's variables; only `BYOI_CONSOLE_*` are looked at.

    Raises:
        ConfigError: a name is unknown or a value cannot be used; the message names it.
    """
    chosen: dict[str, object] = _from_environment(environment)
    chosen.update({name: value for name, value in flags.items() if value is not None})
    try:
        return Settings.model_validate(chosen)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{name}: {first['msg']}") from error


def _from_environment(environment: Mapping[str, str]) -> dict[str, object]:
    found: dict[str, object] = {}
    for variable, value in environment.items():
        if not variable.startswith(ENVIRONMENT_PREFIX):
            continue
        name = variable.removeprefix(ENVIRONMENT_PREFIX).lower()
        if name not in Settings.model_fields:
            raise ConfigError(f"{variable} is not a setting{_hint(name)}")
        found[name] = value
    return found


def _hint(name: str) -> str:
    near = get_close_matches(name, Settings.model_fields, n=1)
    return f"; did you mean {ENVIRONMENT_PREFIX}{near[0].upper()}?" if near else ""
