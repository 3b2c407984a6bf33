"""The node's folders: there, private, writable, with room; and what a crash has left in them."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import shutil
import stat
import sys
import time
from typing import TYPE_CHECKING, Final

from byoi_agent.doctor.finding import failed, ok, warned

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from byoi_agent.config.paths import Paths
    from byoi_agent.doctor.finding import Finding
    from byoi_agent.doctor.patient import Patient

_GIB: Final = 2**30
_FULL_BYTES: Final = 200 * 2**20
"""Below this the usage records and the log cannot be written for long."""

_DRAFT: Final = re.compile(r"\..+\.[0-9a-f]{12}")
_DRAFT_SECONDS: Final = 3600.0
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


async def check(patient: Patient) -> list[Finding]:
    """Rights, room and leftovers; a disk that hangs holds up nobody else."""
    return await asyncio.to_thread(_look, patient)


def _look(patient: Patient) -> list[Finding]:
    return [_rights(patient.paths), *_room(patient), *_leftovers(patient.paths)]


def too_open(paths: Paths) -> list[Path]:
    """What somebody else could read or write, of that which only its owner may."""
    if os.name != "posix":
        return []  # rights are a list of accounts there, which the folder hands down
    private = [paths.state, paths.keys_folder, paths.identity_file, paths.control_file]
    private += sorted(paths.keys_folder.glob("*")) if _is_readable(paths.keys_folder) else []
    return [path for path in private if _exists(path) and path.stat().st_mode & _OTHERS]


def drafts(paths: Paths) -> list[Path]:
    """Files that were being written when the power went, or the process was killed."""
    if not _is_readable(paths.state):
        return []
    before = time.time() - _DRAFT_SECONDS
    return [path for path in _files(paths.state) if _is_draft(path, before)]


def _rights(paths: Paths) -> Finding:
    name, title = "folders", "Folders"
    for folder in (paths.state, paths.cache):
        if not _exists(folder):
            continue
        if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            return failed(
                name,
                title,
                f"{folder} cannot be used by this account",
                f"run this as the account of the node (sudo -u {_owner(folder)} byoi doctor), or "
                f"give this one the folder: sudo chown -R {shlex.join([_account(), str(folder)])}",
            )
    if wide := too_open(paths):
        told = ", ".join(map(str, wide))
        mend = f"byoi doctor --fix, or: chmod go= {shlex.join(map(str, wide))}"
        return failed(name, title, f"others may use {told}", mend, can_fix=True)
    if not _exists(paths.state):
        return ok(name, title, f"{paths.state} is made when it is needed")
    return ok(name, title, f"{paths.state} and {paths.cache} are private and writable")


def _room(patient: Patient) -> Iterator[Finding]:
    name, title = "disk", "Disk"
    keep_bytes = int(patient.settings.protect.disk_free_gib * _GIB)
    for folder in (patient.paths.state, patient.paths.cache):
        free = shutil.disk_usage(_nearest(folder)).free
        told = f"{free / _GIB:.1f} GiB free for {folder}"
        mend = "make room; unused models go with: byoi models list, byoi models rm NAME"
        if free < _FULL_BYTES:
            yield failed(name, title, told, mend)
            return
        if free < keep_bytes:
            yield warned(name, title, f"{told}: the node takes no work", mend)
            return
    yield ok(name, title, told)


def _leftovers(paths: Paths) -> Iterator[Finding]:
    if found := drafts(paths):
        count = "a file" if len(found) == 1 else f"{len(found)} files"
        text = f"{count} half written before a crash in {paths.state}"
        yield warned("leftovers", "Leftovers", text, "byoi doctor --fix", can_fix=True)


def _is_draft(path: Path, before: float) -> bool:
    if not _DRAFT.fullmatch(path.name):
        return False
    facts = path.lstat()
    return stat.S_ISREG(facts.st_mode) and facts.st_mtime < before


def _files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def _is_readable(folder: Path) -> bool:
    return _exists(folder) and os.access(folder, os.R_OK | os.X_OK)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except PermissionError:
        return False


def _nearest(folder: Path) -> Path:
    """The folder, or the first of those above it that is there."""
    *above, root = folder.parents
    return next((path for path in (folder, *above) if _exists(path)), root)


def _owner(folder: Path) -> str:
    if sys.platform == "win32":
        return "ITS_OWNER"
    try:
        return folder.owner()
    except (KeyError, OSError):  # an account without a name
        return "ITS_OWNER"


def _account() -> str:
    import getpass  # noqa: PLC0415 only where something is wrong

    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        if sys.platform == "win32":
            return "YOUR_ACCOUNT"
        return str(os.getuid())
