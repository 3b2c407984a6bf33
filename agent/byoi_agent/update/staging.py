"""Makes a release ready beside the version that runs: an environment from its bundle alone."""

from __future__ import annotations

import os
import shutil
import sys
import tarfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from byoi_agent.config.installation import FILE_NAME, Installation
from byoi_agent.update.programs import UpdateFailed, run

if TYPE_CHECKING:
    from collections.abc import Iterator

LARGEST_UNPACKED_BYTES: Final = 8 * 1024**3
MOST_FILES: Final = 10_000
ROOT_FILE: Final = "root.json"
RELEASE_FILE: Final = "release.json"
_CARRIED: Final = (RELEASE_FILE, ROOT_FILE)
_OF_THE_SETUP: Final = "place.py"
"""Windows' setup leaves it in its environment, and its uninstaller runs that of the present one."""


def stage(bundle: Path, version: str, target: Path, like: Installation, trust: bytes) -> None:
    """Have `target` be the environment of a release; what is there already counts as half made.

    It carries what the present installation does: kind, index, folders and, where the bundle has
    none newer, the keys that updates are checked with.

    Raises:
        UpdateFailed: the bundle is not what it should be, or the environment cannot be made.
        OSError: the disk does not take it.
    """
    partial = target.with_name(f"{target.name}.partial")
    unpacked = target.with_name(f"{target.name}.bundle")
    for leftover in (partial, unpacked):
        shutil.rmtree(leftover, ignore_errors=True)
    try:
        top = unpack(bundle, unpacked)
        make_environment(partial, top)
        about = like.model_copy(update={"version": version})
        (partial / FILE_NAME).write_text(about.model_dump_json(indent=1), encoding="utf-8")
        (partial / ROOT_FILE).write_bytes(trust)
        for name in _CARRIED:
            if (top / name).is_file():
                shutil.copyfile(top / name, partial / name)
        if (own := Path(sys.prefix) / _OF_THE_SETUP).is_file():
            shutil.copyfile(own, partial / _OF_THE_SETUP)
        told = run([str(program_of(partial)), "version"], within_seconds=120.0)
        if version not in told.split():
            raise UpdateFailed(f"the release says that it is {told.strip()}, not {version}")
        if hasattr(os, "sync"):
            os.sync()  # the name must not be there before what it stands for
        shutil.rmtree(target, ignore_errors=True)
        partial.replace(target)
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)
        shutil.rmtree(partial, ignore_errors=True)


def unpack(bundle: Path, into: Path) -> Path:
    """The bundle's one folder, unpacked; nothing of it may lie elsewhere, or be no plain file.

    Raises:
        UpdateFailed: it is no bundle.
    """
    into.mkdir(mode=0o700)
    try:
        with tarfile.open(bundle, "r:gz") as archive:
            for member, place in _plain(archive, into):
                if member.isdir():
                    place.mkdir(parents=True, exist_ok=True)
                    continue
                place.parent.mkdir(parents=True, exist_ok=True)
                content = archive.extractfile(member)
                assert content is not None  # of a plain file there is one
                with content, place.open("xb") as file:
                    shutil.copyfileobj(content, file)
    except (tarfile.TarError, EOFError, FileExistsError) as error:
        raise UpdateFailed(f"{bundle.name} is no bundle of ours: {error}") from error
    tops = sorted(into.iterdir())
    if len(tops) != 1 or not (tops[0] / "requirements.txt").is_file():
        raise UpdateFailed(f"{bundle.name} has no requirements.txt in its one folder")
    return tops[0]


def make_environment(target: Path, top: Path) -> None:
    """All that the bundle's requirements name, with their hashes, and from its wheels alone.

    Raises:
        UpdateFailed: this Python is none that it was made for, or a wheel is missing.
    """
    uv = [uv_program(), "--quiet", "--offline", "--no-config", "--no-cache"]
    run([*uv, "venv", "--relocatable", "--python", base_python(), str(target)])
    run(
        [
            *uv,
            "pip",
            "install",
            "--python",
            str(python_of(target)),
            "--no-index",
            "--find-links",
            str(top / "wheels"),
            "--require-hashes",
            "--only-binary",
            ":all:",
            "--compile-bytecode",
            "--requirements",
            str(top / "requirements.txt"),
        ]
    )


def python_of(environment: Path) -> Path:
    """An environment's interpreter."""
    if os.name == "nt":
        return environment / "Scripts" / "python.exe"
    return environment / "bin" / "python"


def program_of(environment: Path) -> Path:
    """An environment's `byoi`."""
    if os.name == "nt":
        return environment / "Scripts" / "byoi.exe"
    return environment / "bin" / "byoi"


def base_python() -> str:
    """The interpreter that this environment was made from."""
    return getattr(sys, "_base_executable", None) or sys.executable


def uv_program() -> str:
    """The `uv` of this environment: newer bundles are for the one that is here.

    Raises:
        UpdateFailed: there is none.
    """
    import uv  # noqa: PLC0415 only staging needs it

    try:
        return uv.find_uv_bin()
    except FileNotFoundError as error:
        raise UpdateFailed("this installation lacks uv; install byoi again") from error


def _plain(archive: tarfile.TarFile, into: Path) -> Iterator[tuple[tarfile.TarInfo, Path]]:
    """Each member and its place; `extractall` of Debian 12's Python has no filter of its own."""
    size, count = 0, 0
    for member in archive:
        size, count = size + member.size, count + 1
        if size > LARGEST_UNPACKED_BYTES or count > MOST_FILES:
            raise UpdateFailed("the bundle is larger than any release of ours")
        parts = PurePosixPath(member.name).parts
        if not (member.isfile() or member.isdir()):
            raise UpdateFailed(f"the bundle holds {member.name}, which is no plain file")
        if not parts or ".." in parts or any(set(part) & set("/\\:") for part in parts):
            raise UpdateFailed(f"the bundle holds {member.name}, which would lie elsewhere")
        yield member, into.joinpath(*parts)
