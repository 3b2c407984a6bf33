"""Models of a hub: whole after whatever ended their pull, and served by a real engine."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import sys
import tomllib
from pathlib import Path

import pytest

from byoi_agent.config.paths import resolve
from byoi_agent.config.settings import Settings
from byoi_agent.models.catalogue import CATALOGUE
from byoi_agent.models.hub import ModelStore
from byoi_agent.models.store import Store
from byoi_agent.models.wheels import Tool

REPO = "owner/Tiny-Model"
KILLS = 20
SMALL_MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct-GGUF"


async def pull(name, tmp_path, hub, *flags):
    environment = {key: value for key, value in os.environ.items() if not key.startswith("BYOI_")}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "byoi_agent.cli.main", "models", "pull", name),
        *("--data-dir", str(tmp_path / "data"), "--cache-dir", str(tmp_path / "cache"), *flags),
        env={**environment, "BYOI_HUB": hub.url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


@pytest.mark.slow
async def test_a_pull_that_is_killed_again_and_again_ends_with_the_right_digests(
    hub, hubs, tmp_path
):
    """At least twenty times, at points that chance chooses, with SIGKILL."""
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    shards = {f"model-0000{n}-of-00004.safetensors": n for n in range(1, 5)}
    files = {name: hubs.safetensors(6_000_000, f"w{n}", bytes([n])) for name, n in shards.items()}
    files["config.json"] = json.dumps({"max_position_embeddings": 128}).encode()
    files["tokenizer.json"] = json.dumps(["word"] * 1000).encode()
    hub.add(REPO, files)
    store = Store(resolve(Settings(cache_dir=tmp_path / "cache"), {}).models_folder)
    hub.chunk_seconds = 0.001
    for _ in range(KILLS):
        running = await pull(REPO, tmp_path, hub)
        until = hub.bytes_sent + chance.randrange(1, 900_000)
        async with asyncio.timeout(90):
            while hub.bytes_sent < until and running.returncode is None:
                await asyncio.sleep(0.001)
        if running.returncode is None:
            running.kill()
        said = await running.communicate()
        assert running.returncode == -9, f"seed {seed}: it ended by itself: {said}"
        assert store.all() == [], f"seed {seed}: half a model counts as one"
    parts = {file.name: file.stat().st_size for file in store.folder.rglob("*.partial/files/*")}
    hub.asked.clear()
    hub.chunk_seconds = 0.0
    running = await pull(REPO, tmp_path, hub)
    said, _ = await running.communicate()
    assert running.returncode == 0, said
    (found,) = store.all()
    for name, raw in files.items():
        assert hashlib.sha256((found.path / name).read_bytes()).digest() == (
            hashlib.sha256(raw).digest()
        ), f"seed {seed}: {name}"
    # Exactly what was missing was asked for.
    asked = {file: span for kind, file, span, _ in hub.asked if kind == "cdn"}
    assert any(parts.get(f"{name}.part", 0) > 0 for name in shards), f"seed {seed}: {parts}"
    for name, raw in files.items():
        if had := parts.get(f"{name}.part", 0):
            assert asked[name] == f"bytes={had}-{len(raw) - 1}", f"seed {seed}"
        assert name not in asked or name not in parts, f"seed {seed}: {name} came twice"


@pytest.mark.slow
@pytest.mark.engine
async def test_a_pulled_gguf_is_served_by_the_running_node_and_answers(hub, deployment, tmp_path):
    cache = resolve(Settings(), os.environ)
    (entry,) = CATALOGUE
    file = await ModelStore(cache.models_folder, Tool.find()).ensure(entry, lambda _: None)
    hub.add(SMALL_MODEL, {"SmolLM2-135M-Instruct-Q4_1.gguf": file.read_bytes()})
    own = tmp_path / "cache"
    own.mkdir(mode=0o700)
    (own / "engines").symlink_to(cache.engines_folder)
    (own / "models").mkdir(mode=0o700)
    (own / "models" / entry.sha256).symlink_to(cache.models_folder / entry.sha256)
    environment = {"BYOI_CACHE_DIR": str(own), "BYOI_HUB": hub.url}
    deployment.env |= environment
    await deployment.start_console()
    await deployment.start_node("node")
    data = deployment.folder / "node"
    said = await deployment.program("byoi", "models", "pull", SMALL_MODEL, "--data-dir", data)
    assert "is here" in said
    said = await deployment.program(
        "byoi", "models", "serve", SMALL_MODEL, "--context-tokens", "1024", "--data-dir", data
    )
    assert "The running node takes it over now" in said
    assert tomllib.loads((data / "config.toml").read_text())["model"] == SMALL_MODEL
    name = "SmolLM2-135M-Instruct-Q4_1"

    async def offered():
        return any(name in json.dumps(node["models"]) for node in await deployment.nodes())

    await deployment.until(offered)
    # With its own template, which the catalogue replaces for a reason: what it says is its affair.
    answer = await deployment.chat("What is the capital of France?", model=name, max_tokens=24)
    assert answer.is_complete
    assert answer.text
    listed = await deployment.program("byoi", "models", "list", "--json", "--data-dir", data)
    row = json.loads(listed)["models"][0]
    assert (row["id"], row["is_in_use"], row["is_chosen"]) == (name, True, True)
    refused = await deployment.start_program(
        "byoi", "models", "rm", SMALL_MODEL, "--data-dir", data
    )
    _, told = await refused.communicate()
    assert refused.returncode == 1
    assert b"in use by a running node" in told
    assert Path(row["path"]).exists()
