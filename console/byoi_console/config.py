"""The console's settings: one frozen model, and where each value comes from.

Precedence, highest first: flags of the command, `BYOI_CONSOLE_*` variables, the file
`byoi-console.toml` (in the data folder, or where `--config` says), defaults.
"""

from __future__ import annotations

import ipaddress
import os
import tomllib
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from byoi_console.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Source = Literal["flag", "environment", "file", "default"]

PRECEDENCE: Final[tuple[Source, ...]] = ("flag", "environment", "file", "default")
"""Who wins, highest first."""

ENVIRONMENT_PREFIX: Final = "BYOI_CONSOLE_"
CONFIG_FILE: Final = "byoi-console.toml"
CONFIG_VARIABLE: Final = f"{ENVIRONMENT_PREFIX}CONFIG"


def default_data_dir() -> Path:
    """Where a console's state lies unless it is told otherwise (XDG's state folder)."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "byoi-console"


class Settings(BaseModel):
    """Everything that an operator can choose; unknown names are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(
        default=8700, ge=0, le=65535, description="port to listen on; 0 takes any free one"
    )
    data_dir: Path = Field(
        default_factory=default_data_dir, description="the folder that all state lies in"
    )
    origin: str | None = Field(
        default=None,
        description="public origin that nodes pin, such as https://byoi.example; "
        "unset: the address of the first start",
    )
    tls_cert: Path | None = Field(
        default=None, description="certificate chain as PEM; with it the console speaks TLS itself"
    )
    tls_key: Path | None = Field(default=None, description="private key of `tls_cert` as PEM")
    trusted_proxies: tuple[str, ...] = Field(
        default=(),
        description="addresses or networks of proxies whose X-Forwarded-For and "
        "X-Forwarded-Proto are believed, with commas between them",
    )
    database_url: str | None = Field(
        default=None,
        repr=False,
        description="SQLAlchemy URL of a database server; unset: a file in the data folder",
    )
    database_url_file: Path | None = Field(
        default=None, description="file that holds `database_url`, so that no list shows it"
    )
    metrics_public: bool = Field(
        default=False, description="answer /metrics without an admin API key"
    )
    log_format: Literal["human", "json"] = Field(
        default="human", description="log lines for people or for programs"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="least important line that is written"
    )
    drain_seconds: float = Field(
        default=30.0, ge=0, description="time that answers get to end when told to stop"
    )

    @field_validator("*", mode="before")
    @classmethod
    def _is_something(cls, value: object, info: ValidationInfo) -> object:
        if isinstance(value, bool) and info.field_name != "metrics_public":  # would be 1 or 0
            raise ValueError("true and false mean nothing here")
        # As a host it would be every address of the machine, as a path the present folder.
        if value == "" and info.field_name != "trusted_proxies":
            raise ValueError("there is nothing in it; leave it out for the default")
        return value

    @field_validator("origin")
    @classmethod
    def _is_origin(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        _ = parts.port  # says itself what is wrong with it
        is_web = parts.scheme in {"http", "https"} and parts.hostname and "@" not in parts.netloc
        if not is_web or parts.path not in {"", "/"} or parts.query or parts.fragment:
            raise ValueError("must be scheme://host[:port] without a path")
        return value.rstrip("/")

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _are_networks(cls, value: object) -> object:
        parts = value.replace(",", " ").split() if isinstance(value, str) else value
        if not isinstance(parts, list | tuple):
            return value
        try:
            return tuple(str(ipaddress.ip_network(str(part), strict=False)) for part in parts)
        except ValueError as error:
            raise ValueError(f"{error}; write 10.0.0.0/8 or 192.0.2.7") from error

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key go together: give both, or neither")
        if self.database_url is not None and self.database_url_file is not None:
            raise ValueError("database_url and database_url_file: give one of them")
        return self

    @property
    def database(self) -> str:
        """SQLAlchemy's URL of the database: the one given, else a file in the data folder.

        Raises:
            ConfigError: `database_url_file` cannot be read, or holds nothing.
        """
        if self.database_url_file is not None:
            return _url_in(self.database_url_file)
        return (
            self.database_url or f"sqlite+aiosqlite:///{self.data_dir.absolute()}/console.sqlite3"
        )


@dataclass(frozen=True)
class LoadedSettings:
    """The settings and, for each of them, who set it; `file` is the one that was read, if any."""

    values: Settings
    sources: Mapping[str, Source]
    file: Path | None


def load(flags: Mapping[str, object], environment: Mapping[str, str]) -> Settings:
    """The settings of this run; see `load_with_sources`."""
    return load_with_sources(flags, environment).values


def load_with_sources(
    flags: Mapping[str, object], environment: Mapping[str, str]
) -> LoadedSettings:
    """Settle every setting by `PRECEDENCE`.

    Args:
        flags: values given on the command line; None means "not given". `config` is the file.
        environment: the process's variables; only `BYOI_CONSOLE_*` are looked at.

    Raises:
        ConfigError: a name is unknown or a value cannot be used; the message names it.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    asked = given.pop("config", None) or environment.get(CONFIG_VARIABLE) or None
    named = _from_environment(environment)
    file = _file(None if asked is None else Path(str(asked)), given, named)
    written = {} if file is None else _from_file(file)
    if asked is None and "data_dir" in written:
        raise ConfigError(f"{file}: data_dir cannot be set by a file that lies in it")
    layers: dict[Source, Mapping[str, object]] = {
        "flag": given,
        "environment": named,
        "file": written,
        "default": {},
    }
    sources: dict[str, Source] = {
        name: next((source for source in PRECEDENCE if name in layers[source]), "default")
        for name in Settings.model_fields
    }
    chosen = {n: layers[s][n] for n, s in sources.items() if s != "default"}
    try:
        return LoadedSettings(Settings.model_validate(chosen), sources, file)
    except ValidationError as error:
        raise ConfigError(_explain(error, sources, file)) from error


def variable_of(name: str) -> str:
    """The environment variable of a setting."""
    return ENVIRONMENT_PREFIX + name.upper()


def flag_of(name: str) -> str:
    """The command-line flag of a setting."""
    return "--" + name.replace("_", "-")


def _from_environment(environment: Mapping[str, str]) -> dict[str, object]:
    found: dict[str, object] = {}
    for variable, value in environment.items():
        if not variable.startswith(ENVIRONMENT_PREFIX) or variable == CONFIG_VARIABLE:
            continue
        name = variable.removeprefix(ENVIRONMENT_PREFIX).lower()
        if name not in Settings.model_fields:
            known = [variable_of(field) for field in Settings.model_fields]
            raise ConfigError(f"{variable} is not a setting{_nearest(variable, known)}")
        # An empty variable is how a shell script or a unit file says "not set".
        if value:
            found[name] = value
    return found


def _file(
    asked: Path | None, flags: Mapping[str, object], environment: Mapping[str, object]
) -> Path | None:
    """The file to read: the one asked for, which has to be there, or one in the data folder."""
    if asked is not None:
        return asked
    folder = flags.get("data_dir") or environment.get("data_dir") or default_data_dir()
    file = Path(str(folder)) / CONFIG_FILE
    return file if file.is_file() else None


def _from_file(file: Path) -> dict[str, object]:
    try:
        # Windows' editors put a mark before the first letter.
        table = tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file} is not text in UTF-8; save it as UTF-8") from error
    except RecursionError as error:
        raise ConfigError(f"{file} is not valid TOML: too many brackets in one another") from error
    except ValueError as error:
        raise ConfigError(f"{file} is not valid TOML: {error}") from error
    for key in table:
        if key not in Settings.model_fields:
            raise ConfigError(
                f"{file}: {key} is not a setting{_nearest(key, Settings.model_fields)}"
            )
    return table


def _nearest(word: str, known: Iterable[str]) -> str:
    near = get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _explain(error: ValidationError, sources: Mapping[str, Source], file: Path | None) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    reason = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:
        return reason
    name = str(first["loc"][0])
    places: dict[Source, str] = {
        "environment": f" (the variable {variable_of(name)})",
        "file": f" (in {file})",
    }
    return f"{name}{places.get(sources.get(name, 'default'), '')}: {reason}"


def _url_in(file: Path) -> str:
    try:
        url = file.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise ConfigError(f"database_url_file: cannot read {file}: {why}") from error
    if not url:
        raise ConfigError(f"database_url_file: {file} holds no URL")
    return url
