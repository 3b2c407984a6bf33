"""An environment of its own for every engine's version, so that no engine's needs become ours."""

from __future__ import annotations

import asyncio
import hashlib
import platform
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from byoi_agent.models.wheels import Progress, Tool, install_once

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class RuntimeSpec:
    """What an environment must hold.

    `requirements` are pinned with the hashes of every platform's wheel; `unpacked_bytes` is what
    they take on this platform, None where that was never measured.
    """

    name: str
    version: str
    requirements: str
    unpacked_bytes: int | None = None


class Runtimes:
    """Sole owner of the folder of engine environments."""

    def __init__(self, folder: Path, tool: Tool | None = None) -> None:
        self._folder = folder
        self._tool = tool or Tool.find()

    async def ensure(self, spec: RuntimeSpec, report: Callable[[Progress], None]) -> Path:
        """The environment's interpreter, installed if it was not here.

        Raises:
            ConfigError: what the index serves is not what was pinned.
            InstallError: it could not be installed; later it may.
        """
        target = self._folder / f"{spec.name}-{spec.version}-{_fingerprint(spec)}"
        python = target / "bin" / "python"
        if target.exists() and not python.exists():
            # The interpreter that it was made from is gone, its link leads nowhere.
            await asyncio.to_thread(shutil.rmtree, target)

        async def build(folder: Path) -> None:
            await self._fill(spec, folder)

        start = Progress(f"installing {spec.name} {spec.version}", 0, spec.unpacked_bytes)
        await install_once(target, build, report, start)
        return python

    async def _fill(self, spec: RuntimeSpec, folder: Path) -> None:
        await self._tool.make_environment(folder)
        requirements, scratch = folder / "requirements.txt", folder / "scratch"
        requirements.write_text(spec.requirements)
        try:
            python = str(folder / "bin" / "python")
            await self._tool.install(requirements, scratch, "--python", python)
        finally:
            await asyncio.to_thread(shutil.rmtree, scratch, ignore_errors=True)


def _fingerprint(spec: RuntimeSpec) -> str:
    """Tells environments apart that would not do for each other."""
    base = f"{Path(sys.executable).resolve()}\n{platform.machine()}\n{spec.requirements}"
    return hashlib.sha256(base.encode()).hexdigest()[:12]
