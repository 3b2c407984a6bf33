"""What the owner chose: flags, variables and his file settled into one, each with who set it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from byoi_agent.config.settings import (
    ENVIRONMENT_PREFIX,
    PRECEDENCE,
    TABLES,
    Settings,
    Source,
    flag_of,
    nearest,
    reason_of,
    variable_of,
)
from byoi_agent.config.toml_file import UnfitFile, table_of, text_of
from byoi_agent.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NOT_SETTINGS: Final = frozenset(
    {
        "BYOI_API_KEY",
        "BYOI_JOIN_TOKEN",
        "BYOI_CONTROL_URL",
        "BYOI_CONTROL_TOKEN",
        "BYOI_CONFIG",
        "BYOI_UPDATE_RING",
        "BYOI_UPDATE_INDEX",
    }
)
"""Variables of ours that are no settings: secrets of one call, and where to look."""


@dataclass(frozen=True)
class LoadedSettings:
    """The settings and, for each of them, who set it."""

    values: Settings
    sources: Mapping[str, Source]
    strays: tuple[str, ...] = ()
    """`BYOI_` variables that mean nothing, each in a sentence; told, not refused."""
    file: Path | None = None
    """The configuration file that was read."""


def load(
    flags: Mapping[str, object], environment: Mapping[str, str], file: Path | None
) -> LoadedSettings:
    """Settle every setting by `PRECEDENCE`; a flag of None was not given.

    Raises:
        ConfigError: a value does not fit, a key of the file is unknown, or the file is no TOML.
    """
    layers: dict[Source, dict[str, object]] = {
        "flag": {name: value for name, value in flags.items() if value is not None},
        "environment": dict(from_environment(environment)),
        "file": _from_file(file),
        "default": {},
    }
    chosen: dict[str, object] = {}
    sources: dict[str, Source] = {}
    for name in Settings.model_fields:
        sources[name] = next((s for s in PRECEDENCE if name in layers[s]), "default")
        if sources[name] != "default":
            chosen[name] = layers[sources[name]][name]
    try:
        values = Settings.model_validate(chosen)
    except ValidationError as error:
        raise ConfigError(_explain(error, sources, file)) from error
    return LoadedSettings(values, sources, tuple(strays(environment)), file)


def from_environment(environment: Mapping[str, str]) -> Mapping[str, str]:
    """The settings that variables give, as text.

    What a file of secrets or of variables ends its lines with is no part of a value.
    """
    # An empty variable is how a shell script or a unit file says "not set".
    names = (name for name in Settings.model_fields if name not in TABLES)
    pairs = ((name, environment.get(variable_of(name), "").strip()) for name in names)
    return {name: value for name, value in pairs if value}


def strays(environment: Mapping[str, str]) -> list[str]:
    """A sentence for each variable that looks like ours and means nothing."""
    known = [variable_of(name) for name in Settings.model_fields if name not in TABLES]
    return [
        f"the variable {name} means nothing here{nearest(name, known)}"
        for name in sorted(environment)
        if name.startswith(ENVIRONMENT_PREFIX)
        and not name.startswith("BYOI_CONSOLE_")  # the console's own
        and name not in NOT_SETTINGS
        and name not in known
    ]


def _from_file(file: Path | None) -> dict[str, object]:
    if file is None:
        return {}
    try:
        table = table_of(text_of(file))
    except UnfitFile as unfit:
        raise ConfigError(f"{file} {unfit}") from unfit
    for key in table:
        if key not in Settings.model_fields:
            raise ConfigError(f"{file}: unknown key {key!r}{nearest(key, Settings.model_fields)}")
    return table


def _explain(error: ValidationError, sources: Mapping[str, Source], file: Path | None) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    name = str(first["loc"][0])
    places = {
        "flag": f"the flag {flag_of(name)}",
        "environment": f"the variable {variable_of(name)}",
        "file": f"{name!r} in {file}",
    }
    return f"{places.get(sources[name], name)}: {reason_of(first)}"
