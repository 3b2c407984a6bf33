"""Where this node keeps things on this system; the only file that knows a path."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import platformdirs

from byoi_agent.config.files import make_private_folder
from byoi_agent.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from byoi_agent.config.settings import Settings

SOCKET_PATH_BYTES: Final = 100
"""Longest path of a unix socket that every system takes (macOS: 104 with the closing zero)."""

_LONGEST_SOCKET_NAME: Final = 24
if sys.platform == "win32":
    _SYSTEM_RUNTIME: Final = Path(os.environ.get("PROGRAMDATA", r"C:\ProgramData"), "byoi", "run")
else:
    _SYSTEM_RUNTIME: Final = Path("/run/byoi")


@dataclass(frozen=True)
class Paths:
    """One node's folders. `runtime` is short enough for sockets and is this node's alone.

    `engine` names the socket of the engine that is meant, where a node has several.
    """

    state: Path
    cache: Path
    runtime: Path
    engine: str = "engine"

    @property
    def identity_file(self) -> Path:
        """The public half of the enrolment."""
        return self.state / "identity.json"

    @property
    def attempt_file(self) -> Path:
        """An enrolment that was not heard of to its end."""
        return self.state / "enrolling.json"

    @property
    def keys_folder(self) -> Path:
        """Private keys, where no keyring keeps them."""
        return self.state / "keys"

    @property
    def lock_file(self) -> Path:
        """Held by the one process that runs from this state."""
        return self.state / "byoi.lock"

    @property
    def outbox_file(self) -> Path:
        """Usage records, SQLite."""
        return outbox_file(self.state)

    @property
    def measured_file(self) -> Path:
        """What benchmarks have found."""
        return self.state / "measured.json"

    @property
    def reclaims_file(self) -> Path:
        """How long the machine took to be its owner's again."""
        return self.state / "reclaims.json"

    @property
    def loads_file(self) -> Path:
        """What loads of models were reckoned to take, and took."""
        return self.state / "loads.json"

    @property
    def availability_file(self) -> Path:
        """The owner's switch and pause."""
        return self.state / "availability.json"

    @property
    def power_limits_file(self) -> Path:
        """The limits that GPUs had before the node gave them its own."""
        return self.state / "power-limits.json"

    @property
    def pins_file(self) -> Path:
        """Which organisations asked for the node, and what its owner said."""
        return self.state / "pins.json"

    @property
    def engine_runs_folder(self) -> Path:
        """What a killed agent's engine may have left behind, written down before each start."""
        return self.state / "engine-runs"

    @property
    def log_file(self) -> Path:
        """The newest lines of the node's log; older ones lie beside it with a number."""
        return self.state / "logs" / "byoi.log"

    @property
    def engines_folder(self) -> Path:
        """Environments of engines, shared by all nodes of this user."""
        return self.cache / "engines"

    @property
    def models_folder(self) -> Path:
        """Files of models, shared by all nodes of this user."""
        return self.cache / "models"

    @property
    def engine_socket(self) -> Path:
        """Where a managed engine listens."""
        return self.runtime / f"{self.engine}.sock"

    @property
    def control_file(self) -> Path:
        """Where the running node's control API listens, with its token."""
        return self.state / "control.json"

    @property
    def browsers_file(self) -> Path:
        """Browsers that were let in, while the node is started anew."""
        return self.state / "browsers.json"

    @property
    def control_socket(self) -> Path:
        """The control API's unix socket."""
        return self.runtime / "control.sock"


def resolve(settings: Settings, environment: Mapping[str, str]) -> Paths:
    """Work out a node's folders; nothing is made yet.

    A systemd unit's `StateDirectory=`, `CacheDirectory=`, `RuntimeDirectory=` are honoured.
    """
    state = settings.data_dir or _from_systemd(environment, "STATE_DIRECTORY")
    cache = settings.cache_dir or _from_systemd(environment, "CACHE_DIRECTORY")
    state = (state or platformdirs.user_state_path("byoi", appauthor=False)).absolute()
    cache = (cache or platformdirs.user_cache_path("byoi", appauthor=False)).absolute()
    if settings.data_dir is None and (own := _from_systemd(environment, "RUNTIME_DIRECTORY")):
        return Paths(state, cache, own)
    root = settings.runtime_dir or runtime_root(environment)
    name = hashlib.sha256(os.fsencode(state)).hexdigest()[:8]
    return Paths(state, cache, root / name)


def expanded(written: str | Path) -> Path:
    """What an owner wrote, absolute, with `~` as the home folder that it stands for.

    Raises:
        ConfigError: it is the home of somebody whom this machine does not know.
    """
    try:
        return Path(written).expanduser().absolute()
    except RuntimeError as error:
        raise ConfigError(f"{written}: there is no such user's home folder") from error


def prepare(paths: Paths) -> None:
    """Make a node's folders, private to this user.

    Raises:
        ConfigError: one cannot be made, or somebody else could write to it.
    """
    for folder in (paths.state, paths.cache, paths.runtime.parent, paths.runtime):
        make_private_folder(folder)


def runtime_root(environment: Mapping[str, str]) -> Path:
    """The folder of this user's sockets and of what runs now, short whatever `TMPDIR` says."""
    candidates = [
        Path(runtime) / "byoi"
        for runtime in (environment.get("XDG_RUNTIME_DIR"),)
        if runtime and os.access(runtime, os.W_OK)
    ]
    own = f"byoi-{os.getuid()}" if hasattr(os, "getuid") else "byoi"
    candidates += [Path(tempfile.gettempdir()) / own]
    return next((path for path in candidates if _is_short(path)), Path("/tmp") / own)  # noqa: S108 checked by make_private_folder


def key_place(store: str, paths: Paths) -> str:
    """Where the private key lies, for people."""
    match store:
        case "file":
            return f"in a file in {paths.keys_folder}"
        case "keyring":
            return "in the system's keyring"
        case "credential":
            return "in a credential of systemd"
        case _:
            return f"in the {store} store"


def config_file(data_dir: Path | None, environment: Mapping[str, str]) -> Path:
    """Where the configuration file is, or would be: named, in the data folder, or the user's."""
    if named := environment.get("BYOI_CONFIG"):
        return Path(named)
    folder = data_dir or platformdirs.user_config_path("byoi", appauthor=False)
    return folder / "config.toml"


def default_config_file(data_dir: Path | None, environment: Mapping[str, str]) -> Path | None:
    """The configuration file to read, if any; one that was named must be there."""
    place = config_file(data_dir, environment)
    return place if place.is_file() or environment.get("BYOI_CONFIG") else None


def system_control_socket() -> Path:
    """Where a node that the system runs as a service listens."""
    return _SYSTEM_RUNTIME / "control.sock"


def system_control_file() -> Path:
    """Where such a node leaves word for its group on Windows, which has no such sockets."""
    return _SYSTEM_RUNTIME / "control.json"


def outbox_file(state: Path) -> Path:
    """The usage records of the node that keeps its state there."""
    return state / "usage.sqlite3"


def demos_folder(environment: Mapping[str, str]) -> Path:
    """Where running demos of this user leave word of themselves."""
    return runtime_root(environment) / "demos"


def _from_systemd(environment: Mapping[str, str], name: str) -> Path | None:
    value = environment.get(name, "").split(os.pathsep)[0]
    return Path(value) if value else None


def _is_short(root: Path) -> bool:
    return len(os.fsencode(root)) + len("/12345678/") + _LONGEST_SOCKET_NAME <= SOCKET_PATH_BYTES
