"""Where an update keeps its journal, what it fetches, and what it tells."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from byoi_agent.config.installation import read_installation
from byoi_agent.errors import ConfigError
from byoi_agent.update.told import read

if TYPE_CHECKING:
    from byoi_agent.config.installation import Installation
    from byoi_agent.update.told import Told

SYSTEM_FOLDER: Final = Path("/var/lib/byoi-update")
"""Of a service of the system on Linux: root's, and nothing in it is the service account's."""

_MODE: Final = 0o755

_NO_UPDATES: Final = {
    "source": "this byoi runs from source or was installed by pip; update it the same way "
    "(git pull && make setup, or pip install --upgrade byoi-agent)",
    "container": "this byoi runs in a container; pull the newer image and start it anew "
    "(docker compose pull && docker compose up -d)",
}


def folder_of(installation: Installation) -> Path | None:
    """The folder; None where no update of ours can be."""
    if installation.kind in _NO_UPDATES:
        return None
    if installation.service is not None and sys.platform == "linux":
        return SYSTEM_FOLDER
    return None if installation.root is None else installation.root / "update"


def told_here() -> Told | None:
    """What the updater of this installation last told; None where it never ran.

    Raises:
        ConfigError: the installation cannot be understood.
    """
    folder = folder_of(read_installation())
    return None if folder is None else read(folder)


def usable_folder(installation: Installation) -> Path:
    """The folder, made, for whoever is to update.

    Raises:
        ConfigError: there is nothing that could be updated here, this user may not, or somebody
            else could write there.
    """
    folder = folder_of(installation)
    if folder is None:
        raise ConfigError(
            _NO_UPDATES.get(installation.kind, "this installation does not say where it is; again")
        )
    try:
        folder.mkdir(mode=_MODE, parents=True, exist_ok=True)
        facts = folder.lstat()
    except PermissionError as error:
        raise ConfigError(_needs_root(folder)) from error
    except OSError as error:
        raise ConfigError(f"the folder {folder} cannot be made: {error.strerror}") from error
    if sys.platform != "win32":
        if not os.access(folder, os.W_OK):
            raise ConfigError(_needs_root(folder))
        if facts.st_uid != os.geteuid() or facts.st_mode & 0o022 or folder.is_symlink():
            raise ConfigError(
                f"somebody else could write to {folder}, and so decide what is installed here; "
                f"run: sudo chown root: {folder} && sudo chmod 755 {folder}"
            )
    return folder


def _needs_root(folder: Path) -> str:
    return f"this byoi was installed for the whole system ({folder}); run: sudo byoi update"
