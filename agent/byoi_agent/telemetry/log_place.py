"""Where this process's log lines go besides standard error, and so where `byoi logs` finds them."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from byoi_agent.config.files import check_can_be_made, make_private_folder
from byoi_agent.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

_CGROUP: Final = Path("/proc/self/cgroup")


@dataclass(frozen=True)
class LogPlace:
    """A file, or the unit whose journal has the lines, or neither: standard error alone."""

    file: Path | None = None
    unit: str | None = None
    is_users: bool = False
    """Whether the unit is one of the user's own service manager."""


def log_place(setting: str, usual: Path, environment: Mapping[str, str]) -> LogPlace:
    """What the setting means here: `auto`, `none`, or a path."""
    if setting == "none":
        return LogPlace()
    if setting != "auto":
        return LogPlace(Path(setting).absolute())
    if not _is_journal(environment):
        return LogPlace(usual)
    try:
        return unit_in(_CGROUP.read_text(encoding="utf-8"))
    except OSError:
        return LogPlace()


def usable_place(setting: str, usual: Path, environment: Mapping[str, str]) -> LogPlace:
    """As `log_place`; the usual file's folder is made, that of a named one must be there.

    Raises:
        ConfigError: the file that the owner named cannot be made.
    """
    place = log_place(setting, usual, environment)
    if place.file == usual:
        with suppress(ConfigError):  # a full disk: the lines that cannot be kept are told
            make_private_folder(usual.parent)
    elif place.file is not None:
        check_can_be_made("--log-file", place.file)
    return place


def unit_in(cgroups: str) -> LogPlace:
    """The unit that a process of these control groups (as /proc tells them) belongs to."""
    for line in cgroups.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" or controllers == "name=systemd":
            units = [part for part in path.split("/") if part.endswith(".service")]
            if units:  # of a user's service the first one is its manager
                return LogPlace(unit=units[-1], is_users="/user.slice/" in path)
    return LogPlace()


def _is_journal(environment: Mapping[str, str]) -> bool:
    """Whether standard error is the journal's; a child inherits the variable in any case."""
    try:
        facts = os.fstat(2)
    except OSError:
        return False
    return environment.get("JOURNAL_STREAM") == f"{facts.st_dev}:{facts.st_ino}"
