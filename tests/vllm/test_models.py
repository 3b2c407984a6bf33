"""A model in safetensors that was pulled from a hub, served by a real vLLM."""

from __future__ import annotations

import asyncio
import copy
from pathlib import Path

from byoi_agent.models.catalogue import CATALOGUE
from byoi_agent.models.conversion import converted_folder

REPO = "HuggingFaceTB/SmolLM2-135M-Instruct"
SECONDS = 600


async def test_what_was_pulled_in_safetensors_answers(machine, demo, hub, tmp_path):
    cache = Path(machine.env["BYOI_CACHE_DIR"])
    (entry,) = CATALOGUE
    folder = converted_folder(entry, cache / "models")  # the demo has made it
    hub.add(REPO, {file.name: file.read_bytes() for file in folder.iterdir()})
    own = tmp_path / "cache"
    own.mkdir(mode=0o700)
    (own / "engines").symlink_to(cache / "engines")
    here = copy.copy(machine)
    here.env = {**machine.env, "BYOI_CACHE_DIR": str(own), "BYOI_HUB": hub.url}
    pulled = await asyncio.to_thread(here.run, "models", "pull", REPO, seconds=SECONDS)
    assert pulled.returncode == 0, pulled.stderr
    question = ("--once", "What is the capital of France?")
    done = await asyncio.to_thread(
        here.run,
        *("demo", "--engine", "vllm", "--model", REPO, "--port", "0", *question),
        seconds=SECONDS,
    )
    assert done.returncode == 0, done.stderr
    assert "Paris" in done.stdout
