"""Puts hash-pinned wheels into a folder with uv, showing the bytes as they land.

Everything is asked for by package name, so that whatever index the machine is set up for serves
it, and never by URL. uv comes with the agent; where it does not run, venv and pip do the same.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import sys
import uuid
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from byoi_agent.config.file_locks import lock
from byoi_agent.errors import AgentError, ConfigError
from byoi_agent.models.index_settings import index_settings
from byoi_agent.sizes import on_disk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.1


RATE_SECONDS: Final = 2.0
"""So long a step goes on before its speed says anything: a pull begins with its smallest files."""


@dataclass(frozen=True)
class Progress:
    """How far a long step is; `total_bytes` is None where nobody knows. Bytes are those on disk."""

    phase: str
    done_bytes: int = 0
    total_bytes: int | None = None


class InstallError(AgentError):
    """An installer ended without success; trying again later may help (network, disk, index)."""


@dataclass(frozen=True)
class Tool:
    """The installer at hand: `uv` is its path, or None for venv and pip."""

    uv: str | None

    @classmethod
    def find(cls) -> Tool:
        """The uv that came with the agent, else one on the path, else none."""
        try:
            from uv import find_uv_bin  # noqa: PLC0415 a machine may be without it

            return cls(find_uv_bin())
        except (ImportError, FileNotFoundError):
            return cls(shutil.which("uv"))

    async def make_environment(self, target: Path, base: str = sys.executable) -> None:
        """An empty environment of the version of the interpreter `base`.

        Raises:
            InstallError: see the message.
        """
        if self.uv is not None:
            await _run([self.uv, "venv", "--quiet", "--python", base, str(target)], {})
        else:
            await _run([base, "-m", "venv", str(target)], {})

    async def install(
        self,
        requirements: Path,
        scratch: Path,
        *where: str,
        compiles: bool = False,
        index: str | None = None,
    ) -> None:
        """Wheels alone, each with its hash, without their dependencies; `where` names the place.

        `compiles` has the byte code written now rather than at the first start; `index` is looked
        through besides those that the machine is set up for.

        Raises:
            ConfigError: a hash does not fit: what the index serves is not what was pinned.
            InstallError: see the message.
        """
        pinned = [
            "--no-deps",
            "--require-hashes",
            "--only-binary",
            ":all:",
            "-r",
            str(requirements),
        ]
        if self.uv is not None:
            # A cache of its own on the same disk shows the bytes of this download and no others.
            environment = {**index_settings(os.environ), "UV_CACHE_DIR": str(scratch)}
            options = ["--compile-bytecode"] if compiles else []
            options += ["--index", index] if index else []
            argv = [self.uv, "pip", "install", "--quiet", *pinned, *options, *where]
            await _run(argv, environment)
            return
        # The agent's own environment may be without pip; one that venv makes has it.
        if where[0] == "--python":
            python, where = where[1], ()
        else:
            await self.make_environment(scratch)
            python = str(python_in(scratch))
        options = ["--extra-index-url", index] if index else []
        await _run([python, "-m", "pip", "install", "--quiet", *pinned, *options, *where], {})


def python_in(environment: Path) -> Path:
    """An environment's interpreter, as venv and uv lay it out on this system."""
    if sys.platform == "win32":
        return environment / "Scripts" / "python.exe"
    return environment / "bin" / "python"


async def install_once(
    target: Path,
    build: Callable[[Path], Awaitable[None]],
    report: Callable[[Progress], None],
    start: Progress,
    needed_bytes: int = 0,
) -> None:
    """Have `build` fill a new folder, then give it its name; done at once where it is there.

    Two processes that start together do not build twice; one that is killed leaves nothing that
    looks complete. While it is built, `start` is reported with the bytes that lie in it.

    Raises:
        InstallError: the disk has less than `needed_bytes` to spare; nothing was begun.
    """
    if _is_there(target):
        return
    _make_room(target)
    async with locked(target.with_name(target.name + ".lock"), report, start.phase):
        if _is_there(target):
            return
        _check_room(target.parent, needed_bytes, start.phase)
        # In threads: an engine's environment has tens of thousands of files, and others are served.
        partial = await asyncio.to_thread(_begin, target)
        try:
            await _shown(build(partial), partial, report, start)
            partial.rename(target)
        finally:
            await asyncio.to_thread(shutil.rmtree, partial, ignore_errors=True)


def _is_there(target: Path) -> bool:
    return target.exists()


def _make_room(target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)


def _check_room(folder: Path, needed_bytes: int, phase: str) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        raise InstallError(
            f"{phase} needs {on_disk(needed_bytes)} in {folder}, which has {on_disk(free)} "
            "free; make room, or name a folder on another disk: --cache-dir DIR"
        )


def _begin(target: Path) -> Path:
    """A new folder to build in; what a killed process left is cleared, as we hold the lock."""
    for stale in target.parent.glob(f"{target.name}.partial-*"):
        shutil.rmtree(stale, ignore_errors=True)
    partial = target.with_name(f"{target.name}.partial-{uuid.uuid4().hex[:8]}")
    partial.mkdir(mode=0o700)
    return partial


@asynccontextmanager
async def locked(path: Path, report: Callable[[Progress], None], phase: str) -> AsyncIterator[None]:
    """Hold a file's lock; the system lets go of it when the process dies."""
    with path.open("w") as file:
        said = False
        while not lock(file.fileno()):
            if not said:
                report(Progress(f"{phase}: another process is at it"))
                said = True
            # No limit: the other may be downloading over a slow line, and dies with its lock.
            await asyncio.sleep(_POLL_SECONDS)
        yield


async def _shown(
    building: Awaitable[None], folder: Path, report: Callable[[Progress], None], start: Progress
) -> None:
    """Await `building` while its folder is watched."""
    failure: Exception | None = None
    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(_watch(folder, report, start), name="watch a download")
        try:
            await building
        except (AgentError, OSError) as error:
            failure = error  # raised below: out of the group it would come in a group of its own
        finally:
            watching.cancel()
    if failure is not None:
        raise failure


async def _watch(folder: Path, report: Callable[[Progress], None], start: Progress) -> None:
    shown = -1
    while True:
        done = await asyncio.to_thread(bytes_in, folder)
        if start.total_bytes is not None:
            done = min(done, start.total_bytes)
        if done > shown:
            report(Progress(start.phase, done, start.total_bytes))
            shown = done
        await asyncio.sleep(_POLL_SECONDS)


def bytes_in(folder: Path) -> int:
    """Bytes of all files below, each once however many names it has."""
    seen: dict[tuple[int, int], int] = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                stat = os.lstat(os.path.join(parent, name))  # noqa: PTH118 faster by half
            except FileNotFoundError:
                continue  # renamed meanwhile
            seen[stat.st_dev, stat.st_ino] = stat.st_size
    return sum(seen.values())


async def _run(argv: list[str], environment: dict[str, str]) -> None:
    """Run an installer to its end; it dies with our being cancelled."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, **environment},
    )
    try:
        # No limit: a slow line may need hours; the installer itself gives up on a silent one.
        output, _ = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if process.returncode == 0:
        return
    said = output.decode(errors="replace").strip()
    logger.warning("installer failed", extra={"code": process.returncode, "said": said[-2000:]})
    if "hash mismatch" in said.lower() or "do not match the hashes" in said.lower():
        raise ConfigError(f"what the package index serves is not what was pinned: {said[-400:]}")
    raise InstallError(said[-400:] or f"the installer ended with {process.returncode}")
