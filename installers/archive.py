"""Archives whose bytes depend on what is in them alone: not on time, order, owner or umask."""

from __future__ import annotations

import gzip
import io
import tarfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

COMPRESSION = 6
"""Of gzip: wheels are compressed already."""


def pack(target: Path, folder: Path, *, top: str, epoch: int) -> Path:
    """Write a folder as `target`, below the name `top`; every file is as old as `epoch`.

    Whatever its owner may execute is executable for all, everything is readable for all.
    """
    with (
        target.open("wb") as file,
        gzip.GzipFile("", "wb", COMPRESSION, file, mtime=epoch) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.GNU_FORMAT) as archive,
    ):
        for path in [folder, *sorted(folder.rglob("*"), key=lambda each: each.parts)]:
            name = "/".join((top, *path.relative_to(folder).parts))
            archive.addfile(*_member(name, path, epoch))
    return target


def _member(name: str, path: Path, epoch: int) -> tuple[tarfile.TarInfo, io.BytesIO | None]:
    entry = tarfile.TarInfo(name)
    entry.mtime = epoch
    if path.is_symlink():
        entry.type, entry.mode, entry.linkname = tarfile.SYMTYPE, 0o777, str(path.readlink())
        return entry, None
    if path.is_dir():
        entry.type, entry.mode = tarfile.DIRTYPE, 0o755
        return entry, None
    data = path.read_bytes()
    entry.size = len(data)
    entry.mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
    return entry, io.BytesIO(data)
