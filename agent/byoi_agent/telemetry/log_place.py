"""Where this process's log lines go besides standard error, and so where `byoi logs` finds them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

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
