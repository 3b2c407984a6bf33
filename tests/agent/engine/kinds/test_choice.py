from __future__ import annotations

import json
import struct

import pytest

from byoi_agent.config.paths import resolve
from byoi_agent.config.settings import Settings
from byoi_agent.config.tables import AdapterSetting
from byoi_agent.engine.kinds import choice as module
from byoi_agent.engine.kinds.attached import Attached
from byoi_agent.engine.kinds.choice import engine_kind, is_managed, is_vllm, with_own_code
from byoi_agent.engine.kinds.llamacpp import LlamaCpp
from byoi_agent.engine.kinds.vllm import Vllm
from byoi_agent.errors import ConfigError
from byoi_agent.models.store import Manifest, PulledFile, finish


@pytest.fixture
def choose(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "build_here", lambda: "cpu")
    monkeypatch.setattr(module, "obstacle", lambda _: None)

    def build(adapters=(), **settings):
        settings = Settings(data_dir=tmp_path / "d", cache_dir=tmp_path / "c", **settings)
        return engine_kind(settings, resolve(settings, {}), adapters)

    return build


def test_the_engine_is_the_owners_choice(choose):
    ours = choose(slots=2, context_tokens=512)
    assert isinstance(ours, LlamaCpp)
    assert ours.slots == 2
    assert ours.serve_options("f")["context_tokens"] == 512
    theirs = choose(engine="http://127.0.0.1:9/v1", engine_api_key="k")
    assert isinstance(theirs, Attached)
    assert theirs.address.headers["authorization"] == "Bearer k"
    with pytest.raises(ConfigError, match="did you mean"):
        choose(model="smollm")


@pytest.mark.parametrize("engine", ["vllm", "vllm@0.32.0"])
def test_vllm_may_be_named_with_its_version(choose, engine):
    kind = choose(engine=engine, slots=5)
    assert isinstance(kind, Vllm)
    assert kind.version == "0.32.0"
    assert kind.slots == 5
    assert kind.address.socket_path.endswith("engine.sock")


async def test_a_vllm_that_is_on_the_machine_already_is_used(choose, tmp_path):
    kind = choose(engine="vllm", vllm_python=tmp_path / "python")
    with pytest.raises(ConfigError, match=f"vllm_python: {tmp_path}/python cannot be run"):
        await kind.fetch(print)


def test_what_vllm_cannot_serve_or_be_is_said_at_once(choose, monkeypatch, tmp_path):
    with pytest.raises(ConfigError, match=r"no vllm 9.9"):
        choose(engine="vllm@9.9")
    with pytest.raises(ConfigError, match="did you mean"):
        choose(engine="vllm", model="smollm")
    with pytest.raises(ConfigError, match="no such folder"):
        choose(engine="vllm", model=str(tmp_path / "none"))
    monkeypatch.setattr(module, "obstacle", lambda _: "it is for Linux")
    with pytest.raises(ConfigError, match=r"it is for Linux; use the engine llamacpp"):
        choose(engine="vllm")


def test_a_folder_is_looked_through_before_vllm_gets_it(choose, tmp_path):
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"max_position_embeddings": 64}))
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", 2) + b"{}")
    assert isinstance(choose(engine="vllm", model=str(folder)), Vllm)
    (folder / "model.bin").touch()
    with pytest.raises(ConfigError, match="could hold code"):
        choose(engine="vllm", model=str(folder))


def test_which_engines_are_ours_to_start():
    assert is_managed("llamacpp")
    assert is_managed("vllm@0.32.0")
    assert not is_managed("http://127.0.0.1:1/v1")
    assert not is_vllm("llamacpp")


def test_adapters_are_for_vllm(choose, tmp_path):
    pirate = AdapterSetting(name="pirate", path=tmp_path)
    assert choose(engine="vllm", adapters=(pirate,)).adapt((pirate,))
    for engine in ("llamacpp", "http://127.0.0.1:9/v1"):
        with pytest.raises(ConfigError, match="takes no adapters; use the engine vllm"):
            choose(engine=engine, adapters=(pirate,))


def test_a_gguf_file_is_for_llamacpp_and_safetensors_are_for_vllm(choose, hubs, tmp_path):
    file = tmp_path / "own.gguf"
    file.write_bytes(hubs.gguf())
    ours = choose(model=str(file))
    assert isinstance(ours, LlamaCpp)
    assert ours.serve_options(file)["model_id"] == "own"
    assert ours.serve_options(file)["chat_template"] is None
    with pytest.raises(
        ConfigError, match="vLLM is given safetensors here; use the engine llamacpp"
    ):
        choose(engine="vllm", model=str(file))
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"max_position_embeddings": 64}))
    (folder / "model.safetensors").write_bytes(hubs.safetensors())
    with pytest.raises(ConfigError, match=r"llama.cpp reads GGUF; use the engine vllm"):
        choose(model=str(folder))
    with pytest.raises(ConfigError, match="first: byoi models pull owner/name"):
        choose(model="owner/name")


def test_the_models_whose_own_code_runs_are_known(choose, hubs, tmp_path, monkeypatch):
    commit = "c" * 40
    key = f"owner--name--{commit[:12]}--safetensors"
    partial = tmp_path / "c" / "models" / "hub" / f"{key}.partial"
    (partial / "files").mkdir(parents=True)
    config = {"max_position_embeddings": 64, "auto_map": {"AutoModel": "modeling.X"}}
    files = {"config.json": json.dumps(config).encode(), "modeling.py": b""}
    files["model.safetensors"] = hubs.safetensors()
    rows = []
    for name, raw in files.items():
        (partial / "files" / name).write_bytes(raw)
        row = {"name": name, "size_bytes": len(raw), "algorithm": "sha256", "digest": "0"}
        rows.append(PulledFile(**row, modified_ns=0))
    manifest = Manifest(
        repo="owner/name", commit=commit, hub="h", kind="safetensors", entry="config.json",
        files=tuple(rows), pulled_at=1,
    )  # fmt: skip
    finish(partial, partial.with_name(key), manifest)
    with pytest.raises(ConfigError, match="asks for code"):
        choose(engine="vllm", model="owner/name")
    allowed = choose(engine="vllm", model="owner/name", remote_code=(f"owner/name@{commit}",))
    assert with_own_code([allowed, choose()]) == ["name"]
