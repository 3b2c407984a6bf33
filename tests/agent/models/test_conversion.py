from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from byoi_agent.models.catalogue import DEFAULT_MODEL, find
from byoi_agent.models.conversion import converted_folder, ensure_safetensors
from byoi_agent.models.wheels import InstallError

ENTRY = find(DEFAULT_MODEL)

CONVERTER = """#!/bin/sh
# In the place of an engine's interpreter: -I script options
printf '%s' "$3" > "$HOME/options.json"
printf '%s' "$HF_HUB_OFFLINE" > "$HOME/offline"
{then}
"""


@pytest.fixture
def interpreter(tmp_path):
    def make(then="exit 0"):
        file = tmp_path / "python"
        file.write_text(CONVERTER.format(then=then))
        file.chmod(0o700)
        return file

    return make


@pytest.fixture
def gguf(tmp_path):
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF")
    return file


async def test_a_model_is_converted_once_with_the_catalogues_template(tmp_path, gguf, interpreter):
    heard = []
    convert = (ENTRY, gguf, tmp_path / "models", interpreter())
    folder = await ensure_safetensors(*convert, heard.append)
    options = json.loads((folder / "options.json").read_text())
    assert options["file"] == str(gguf)
    assert options["chat_template"] == ENTRY.chat_template
    assert (folder / "offline").read_text() == "1"
    interpreter("exit 1")  # would fail now
    assert await ensure_safetensors(*convert, heard.append) == folder


async def test_a_failure_is_told_by_its_last_line_and_leaves_nothing(tmp_path, gguf, interpreter):
    python = interpreter("echo Traceback; echo 'MemoryError: too large'; exit 3")
    with pytest.raises(InstallError, match=r"could not be converted.*MemoryError: too large"):
        await ensure_safetensors(ENTRY, gguf, tmp_path / "m", python, lambda _: None)
    assert not [path for path in (tmp_path / "m").iterdir() if path.is_dir()]
    with pytest.raises(InstallError, match="ended with code 1"):
        await ensure_safetensors(ENTRY, gguf, tmp_path / "m", interpreter("exit 1"), lambda _: None)


async def test_being_cancelled_ends_the_converter(tmp_path, gguf, interpreter):
    python = interpreter('echo $$ > "$HOME/../pid"; exec sleep 600')
    work = asyncio.ensure_future(
        ensure_safetensors(ENTRY, gguf, tmp_path / "m", python, lambda _: None)
    )
    pid_file = tmp_path / "m" / "pid"
    async with asyncio.timeout(60):
        while not (pid_file.exists() and pid_file.read_text().strip()):
            await asyncio.sleep(0.01)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    pid = int(pid_file.read_text())
    assert not Path(f"/proc/{pid}").exists()


def test_another_template_is_another_folder(tmp_path):
    other = replace(ENTRY, chat_template="x")
    assert converted_folder(ENTRY, tmp_path) != converted_folder(other, tmp_path)
    assert converted_folder(ENTRY, tmp_path).name.startswith(ENTRY.sha256)
