"""An environment of its own for every engine's version, so that no engine's needs become ours."""

from __future__ import annotations

import asyncio
import hashlib
import os
import platform
import re
import shutil
import sys
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from byoi_agent.config.file_locks import lock
from byoi_agent.errors import AgentError, ConfigError
from byoi_agent.models.wheels import (
    InstallError,
    Progress,
    Tool,
    bytes_in,
    install_once,
    python_in,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_NOT_INHERITED = getattr(os, "O_CLOEXEC", 0)  # on Windows that is so anyway
_LOOK_SECONDS = 0.01
_FOLDER = re.compile(
    r"(?P<name>[a-z][a-z0-9-]*)-(?P<version>\d[\w.]*)-(?P<fingerprint>[0-9a-f]{12})"
)


@dataclass(frozen=True)
class Elsewhere:
    """An index to ask for one requirement that the machine's own indexes may not have."""

    requirement: str
    index: str


@dataclass(frozen=True)
class RuntimeSpec:
    """What an environment must hold.

    `requirements` are pinned with the hashes of every wheel that will do; `unpacked_bytes` is what
    they take on this platform, None where that was never measured, and `needed_bytes` what the disk
    must have to spare. `python` is the version that its wheels are for, like "3.11"; None for any.
    `stub` is the name and version of a distribution without content that it must hold too.
    """

    name: str
    version: str
    requirements: str
    unpacked_bytes: int | None = None
    needed_bytes: int = 0
    python: str | None = None
    stub: tuple[str, str] | None = None
    elsewhere: Elsewhere | None = None
    compiles: bool = False


@dataclass(frozen=True)
class Installed:
    """An environment that is here."""

    name: str
    version: str
    folder: Path


class Runtimes:
    """Sole owner of the folder of engine environments.

    Each one that was asked for is held until this process ends, so that nobody removes it under an
    engine that runs from it.
    """

    def __init__(self, folder: Path, tool: Tool | None = None) -> None:
        self._folder = folder
        self._tool = tool or Tool.find()
        self._held: dict[Path, _Hold] = {}

    def folder_of(self, spec: RuntimeSpec) -> Path:
        """Where an environment lies, or would."""
        return self._folder / f"{spec.name}-{spec.version}-{_fingerprint(spec)}"

    async def ensure(self, spec: RuntimeSpec, report: Callable[[Progress], None]) -> Path:
        """The environment's interpreter, installed if it was not here.

        Raises:
            ConfigError: what the index serves is not what was pinned, or the Python that the wheels
                are for is not here.
            InstallError: it could not be installed; later it may.
        """
        target = self.folder_of(spec)
        python = python_in(target)
        if target.exists() and not python.exists():
            # The interpreter that it was made from is gone, its link leads nowhere.
            with suppress(FileNotFoundError):  # another process has just done the same
                await _discard(target)

        async def build(folder: Path) -> None:
            await self._fill(spec, folder)

        start = Progress(f"installing {spec.name} {spec.version}", 0, spec.unpacked_bytes)
        while not self._hold(target):
            await install_once(target, build, report, start, spec.needed_bytes)
            await asyncio.sleep(_LOOK_SECONDS)  # somebody removes it in this moment
        return python

    def installed(self) -> list[Installed]:
        """All that are here and whole, by name and version."""
        found = []
        for folder in self._folder.iterdir() if self._folder.is_dir() else ():
            parts = _FOLDER.fullmatch(folder.name)
            if parts is not None and python_in(folder).exists():
                found.append(Installed(parts["name"], parts["version"], folder))
        return sorted(found, key=lambda one: (one.name, one.version, one.folder.name))

    async def size_of(self, one: Installed) -> int:
        """Bytes on the disk."""
        return await asyncio.to_thread(bytes_in, one.folder)

    async def remove(self, one: Installed) -> None:
        """Take it from the disk.

        Raises:
            RuntimeInUse: an engine runs from it.
        """
        with _use_file(one.folder).open("w") as file:
            if not lock(file.fileno()):
                raise RuntimeInUse(
                    f"{one.name} {one.version} is in use by a running node; stop it first"
                )
            await _discard(one.folder)

    async def clear(self) -> int:
        """Take away what installs and removals left that were killed; the bytes that they held.

        What another process is at stays: it holds the lock of its environment.
        """
        freed = 0
        partials = self._folder.glob("*.partial-*") if self._folder.is_dir() else ()
        for partial in sorted(partials):
            target = partial.with_name(partial.name.partition(".partial-")[0])
            with target.with_name(target.name + ".lock").open("w") as file:
                if not lock(file.fileno()):
                    continue
                freed += await asyncio.to_thread(bytes_in, partial)
                await asyncio.to_thread(shutil.rmtree, partial, ignore_errors=True)
        return freed

    def _hold(self, target: Path) -> bool:
        """Keep others from removing it; False if it is not here."""
        if target in self._held:
            return target.exists()
        if not target.exists():
            return False
        hold = _Hold(_use_file(target))
        if not hold.is_had:  # it is being removed
            return False
        self._held[target] = hold
        return target.exists()

    async def _fill(self, spec: RuntimeSpec, folder: Path) -> None:
        await self._tool.make_environment(folder, *_base(spec))
        requirements, scratch = folder / "requirements.txt", folder / "scratch"
        requirements.write_text(spec.requirements)
        try:
            await self._install(spec, requirements, scratch, python_in(folder))
        finally:
            await asyncio.to_thread(shutil.rmtree, scratch, ignore_errors=True)
        if spec.stub is not None:
            _add_stub(folder, *spec.stub)

    async def _install(
        self, spec: RuntimeSpec, requirements: Path, scratch: Path, python: Path
    ) -> None:
        where = ("--python", str(python))
        try:
            await self._tool.install(requirements, scratch, *where, compiles=spec.compiles)
        except InstallError as error:
            other = spec.elsewhere
            if other is None or other.requirement not in str(error):
                raise
        else:
            return
        try:
            await self._tool.install(
                requirements, scratch, *where, compiles=spec.compiles, index=other.index
            )
        except InstallError as error:
            raise InstallError(
                f"{spec.name} {spec.version} needs {other.requirement}, which neither this "
                f"machine's package index nor its folder of wheels (PIP_FIND_LINKS) has, and which "
                f"{other.index} did not give: {error}"
            ) from error


class _Hold:
    """A share in a lock file, for as long as this object or its process is there."""

    def __init__(self, file: Path) -> None:
        self._descriptor = os.open(file, os.O_RDWR | os.O_CREAT | _NOT_INHERITED, 0o600)
        self.is_had = lock(self._descriptor, is_shared=True)

    def __del__(self) -> None:
        os.close(self._descriptor)


class RuntimeInUse(AgentError):
    """An environment cannot be removed now; the message says what to stop."""


async def _discard(folder: Path) -> None:
    """Take it from the disk; killed here, we leave none that looks whole.

    Raises:
        FileNotFoundError: it is not here.
    """
    await asyncio.to_thread(shutil.rmtree, _set_aside(folder), ignore_errors=True)


def _set_aside(folder: Path) -> Path:
    """By an unfinished one's name."""
    return folder.rename(folder.with_name(f"{folder.name}.partial-{uuid.uuid4().hex[:8]}"))


def _base(spec: RuntimeSpec) -> tuple[str, ...]:
    """The interpreter to make it from: our own unless its wheels are for another version."""
    if spec.python is None or spec.python == _own_version():
        return ()
    if (found := shutil.which(f"python{spec.python}")) is not None:
        return (found,)
    raise ConfigError(
        f"{spec.name} {spec.version} is for Python {spec.python}, which is not on this machine "
        f"(byoi itself runs with {_own_version()}); install python{spec.python} and try again"
    )


def _own_version() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _add_stub(folder: Path, name: str, version: str) -> None:
    """A distribution of that name in the environment's list, with nothing in it."""
    if sys.platform == "win32":
        packages = folder / "Lib" / "site-packages"
    else:
        (packages,) = (folder / "lib").glob("python3*/site-packages")
    info = packages / f"{name}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "RECORD").write_text("")


def _use_file(target: Path) -> Path:
    """Shared by all that run from it; another than its installer's, who must not wait for them."""
    return target.with_name(target.name + ".use")


def _fingerprint(spec: RuntimeSpec) -> str:
    """Tells environments apart that would not do for each other."""
    base = f"{Path(sys.executable).resolve()}\n{platform.machine()}\n{spec.requirements}"
    return hashlib.sha256(base.encode()).hexdigest()[:12]
