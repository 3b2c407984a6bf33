"""A console's whole state in one file, taken while it serves, and put back elsewhere.

The file is a tar archive: `manifest.json` first, with the format, the version that made it, the
schema and each member's size and SHA-256; then the database, and the settings' file if one lies in
the data folder. All of it is secret: the database holds the console's own key.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import secrets
import sqlite3
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from byoi_console.errors import BackupFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
DATABASE: Final = "console.sqlite3"
_MANIFEST_LIMIT_BYTES: Final = 64 * 1024
_PIECE_BYTES: Final = 1024 * 1024
_MODE: Final = 0o600


class Member(BaseModel):
    """What is known of one file inside."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    bytes: int
    sha256: str


class Manifest(BaseModel):
    """What a backup says of itself; `schema_revision` is the newest migration it has seen."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    format: int
    version: str
    schema_revision: str
    made_at: str
    members: dict[str, Member]


@dataclass(frozen=True)
class Origin:
    """Who makes a backup, and when (ISO 8601)."""

    version: str
    made_at: str


def back_up(database: Path, beside: Mapping[str, Path], target: Path, origin: Origin) -> Manifest:
    """Write everything into `target`, which appears whole or not at all.

    The database is copied as it is at one moment; a console may go on reading and writing.

    Args:
        database: SQLite's file.
        beside: further files by the names that they get inside.
        target: where the backup goes; what is there is replaced.
        origin: who makes it.

    Raises:
        BackupFailed: the database is none of ours, or the disk refuses; nothing is left over.
    """
    if not database.is_file():
        raise BackupFailed(f"there is no database at {database}; name its folder with --data-dir")
    draft = target.with_name(f".{target.name}.{secrets.token_hex(6)}")
    copy = draft.with_name(f"{draft.name}.sqlite3")
    try:
        revision = _copy_database(database, copy)
        files = {DATABASE: copy, **beside}
        manifest = Manifest(
            format=FORMAT,
            version=origin.version,
            schema_revision=revision,
            made_at=origin.made_at,
            members={name: _described(file) for name, file in files.items()},
        )
        _write_archive(draft, manifest, files)
        draft.replace(target)
    except OSError as error:
        raise BackupFailed(f"cannot write {target}: {error.strerror or error}") from error
    finally:
        for leftover in (draft, copy):
            leftover.unlink(missing_ok=True)
    sync_folder(target.parent)
    return manifest


@contextlib.contextmanager
def unpacked(source: Path, folder: Path) -> Iterator[tuple[Manifest, Path]]:
    """A backup's files in a new folder inside `folder`, each proven whole; gone at the end.

    Raises:
        BackupFailed: it is no backup, it is damaged, or a later version made it.
    """
    place = folder / f".restore-{secrets.token_hex(6)}"
    try:
        place.mkdir(mode=0o700)
        with source.open("rb") as file:
            manifest = _unpack(file, source, place)
        yield manifest, place
    except OSError as error:
        named = error.filename or source
        raise BackupFailed(f"cannot restore: {named}: {error.strerror or error}") from error
    finally:
        for part in place.glob("*"):
            part.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            place.rmdir()


def check_database(file: Path) -> None:
    """Have SQLite look through a whole database.

    Raises:
        BackupFailed: it finds something wrong.
    """
    try:
        with contextlib.closing(sqlite3.connect(file)) as connection:
            found = connection.execute("PRAGMA integrity_check").fetchone()[0]
    except sqlite3.DatabaseError as error:
        raise BackupFailed(f"the database in the backup is damaged: {error}") from error
    if found != "ok":
        raise BackupFailed(f"the database in the backup is damaged: {found}")


def sync_folder(folder: Path) -> None:
    """Make names that were just given in a folder outlast a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _copy_database(database: Path, copy: Path) -> str:
    """SQLite's own copy of one moment; returns the schema that it has."""
    os.close(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE))
    uri = f"file:{_quoted(database)}?mode=rw"
    try:
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=60)) as connection:
            connection.execute("VACUUM INTO ?", (str(copy),))
        with contextlib.closing(sqlite3.connect(copy)) as connection:
            (revision,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except (sqlite3.Error, TypeError) as error:
        raise BackupFailed(f"{database} cannot be copied: {error}") from error
    return str(revision)


def _write_archive(draft: Path, manifest: Manifest, files: Mapping[str, Path]) -> None:
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
    with os.fdopen(descriptor, "wb") as out:
        with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
            told = manifest.model_dump_json(indent=2).encode()
            archive.addfile(_header(MANIFEST, len(told)), io.BytesIO(told))
            for name, file in files.items():
                with file.open("rb") as content:
                    archive.addfile(_header(name, manifest.members[name].bytes), content)
        out.flush()
        os.fsync(out.fileno())


def _unpack(file: IO[bytes], source: Path, place: Path) -> Manifest:
    try:
        with tarfile.open(fileobj=file, mode="r:") as archive:
            manifest = _manifest_of(archive, source)
            missing = dict(manifest.members)
            for entry in archive:
                if entry.name in missing:
                    _take_out(archive, entry, place / entry.name, missing.pop(entry.name))
    except tarfile.TarError as error:
        raise BackupFailed(f"{source} is no backup of a console, or its end is missing") from error
    if missing:
        raise BackupFailed(f"{source} is damaged: {', '.join(missing)} is missing")
    return manifest


def _manifest_of(archive: tarfile.TarFile, source: Path) -> Manifest:
    first = archive.next()
    if first is None or first.name != MANIFEST or first.size > _MANIFEST_LIMIT_BYTES:
        raise BackupFailed(f"{source} is no backup of a console")
    content = archive.extractfile(first)
    text = b"" if content is None else content.read()
    try:
        if json.loads(text)["format"] > FORMAT:
            raise BackupFailed(
                f"{source} was made by a later version of byoi-console; restore it with that one"
            )
        manifest = Manifest.model_validate_json(text)
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise BackupFailed(f"{source} is damaged: its manifest cannot be read") from error
    if any(Path(name).name != name or name.startswith(".") for name in manifest.members):
        raise BackupFailed(f"{source} is damaged: a name in it leads elsewhere")
    return manifest


def _take_out(
    archive: tarfile.TarFile, entry: tarfile.TarInfo, target: Path, wanted: Member
) -> None:
    content = archive.extractfile(entry) if entry.isreg() else None
    if content is None:
        raise BackupFailed(f"the backup is damaged: {entry.name} is no plain file")
    digest = hashlib.sha256()
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
    with os.fdopen(descriptor, "wb") as out:
        while piece := content.read(_PIECE_BYTES):
            digest.update(piece)
            out.write(piece)
        out.flush()
        os.fsync(out.fileno())
    if entry.size != wanted.bytes or digest.hexdigest() != wanted.sha256:
        raise BackupFailed(f"the backup is damaged: the checksum of {entry.name} does not fit")


def _described(file: Path) -> Member:
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    return Member(bytes=file.stat().st_size, sha256=digest)


def _header(name: str, size: int) -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.size = size
    header.mode = _MODE
    return header


def _quoted(path: Path) -> str:
    """A path as SQLite's URI has it."""
    return path.absolute().as_uri().removeprefix("file://")
