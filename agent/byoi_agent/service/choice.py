"""Which service is meant, and who starts it on this system."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from byoi_agent.config.installation import read_installation
from byoi_agent.errors import ConfigError
from byoi_agent.update.place import folder_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from byoi_agent.config.installation import Installation
    from byoi_agent.config.paths import Paths
    from byoi_agent.service.launcher import Launcher

Scope = Literal["user", "system"]


def meant_scope(installation: Installation | None = None) -> Scope:
    """The system's where this installation is one, else the user's own."""
    return "user" if (installation or read_installation()).service is None else "system"


def launcher_for(
    scope: Scope,
    paths: Paths,
    environment: Mapping[str, str],
    *,
    data_dir: Path | None = None,
    platform: str = sys.platform,
) -> Launcher:
    """The service of this scope; nothing is looked at or changed yet.

    Raises:
        ConfigError: byoi does not know how this system starts programs.
    """
    installation = read_installation()
    program = program_of(installation)
    home = Path(environment.get("HOME") or Path.home())
    updates = _own_updates(installation) if data_dir is None else None
    if platform == "linux":
        from byoi_agent.service import linux  # noqa: PLC0415 only where it is needed

        if scope == "system":
            return linux.SystemService(program)
        config = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
        return linux.UserService(
            program, config / "systemd" / "user", paths.identity_file, data_dir, updates
        )
    if platform == "darwin":
        from byoi_agent.service import macos  # noqa: PLC0415

        if scope == "system":
            return macos.SystemService(program)
        library = home / "Library"
        return macos.UserService(
            program,
            library / "LaunchAgents",
            library / "Logs" / "byoi" / "service.log",
            paths.identity_file,
            data_dir,
            updates,
        )
    if sys.platform == "win32":
        from byoi_agent.service.windows import SystemService  # noqa: PLC0415
        from byoi_agent.service.windows_calls import SystemRegistration  # noqa: PLC0415

        if scope == "system":
            return SystemService(program, SystemRegistration())
        raise ConfigError(
            "Windows has services for the machine alone: byoi service install --system, as an "
            f"administrator; for yourself have your logon start: {program} run"
        )
    raise ConfigError(
        f"byoi does not know how {platform} starts programs by itself; have it start: {program} run"
    )


def _own_updates(installation: Installation) -> Path | None:
    """Where this user's installation keeps its updates; None where it is none, or not theirs."""
    root = installation.root
    if installation.kind != "versions" or installation.service is not None or root is None:
        return None
    return folder_of(installation) if os.access(root, os.W_OK) else None


def program_of(installation: Installation, prefix: Path | None = None) -> Path:
    """`byoi` by a name that stays the same when another version takes its place."""
    if installation.kind == "deb":
        return Path("/usr/bin/byoi")
    if installation.root is not None:
        return installation.root / "bin" / "byoi"
    folder = "Scripts" if sys.platform == "win32" else "bin"
    return (Path(sys.prefix) if prefix is None else prefix) / folder / "byoi"
