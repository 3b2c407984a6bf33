"""How this program came onto the machine, and the service that it is there, if it is one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from byoi_agent.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE_NAME: Final = "installation.json"
"""Lies in the prefix of the environment; whoever builds or stages an environment writes it."""

Kind = Literal["deb", "versions", "windows", "container", "source"]
"""`versions`: environments side by side below `root`, of which a link names the present one.

`windows`: the same tree, a file in place of the link. `source`: a checkout, or pip."""


class ServicePlaces(BaseModel):
    """The system's service: the account that it runs as, and its folders."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    account: str
    state: Path
    cache: Path
    runtime: Path
    config: Path

    @property
    def environment(self) -> Mapping[str, str]:
        """What the service manager gives the service, so that a command works in its places."""
        return {
            "STATE_DIRECTORY": str(self.state),
            "CACHE_DIRECTORY": str(self.cache),
            "RUNTIME_DIRECTORY": str(self.runtime),
            "BYOI_CONFIG": str(self.config),
            "HOME": str(self.state),
        }


class Installation(BaseModel):
    """`index` is the URL of the signed index that updates come from, None where there is none."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: Kind = "source"
    version: str | None = None
    index: str | None = None
    root: Path | None = None
    service: ServicePlaces | None = None


def read_installation(prefix: Path | None = None) -> Installation:
    """That of the environment at `prefix`, or of the one that runs this.

    Raises:
        ConfigError: the file is not what an installer writes.
    """
    file = (Path(sys.prefix) if prefix is None else prefix) / FILE_NAME
    try:
        return Installation.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return Installation()
    except (OSError, ValidationError) as error:
        raise ConfigError(f"{file} cannot be used; install byoi again: {error}") from error
