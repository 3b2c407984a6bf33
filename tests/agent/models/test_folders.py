from __future__ import annotations

import json
import os
import struct
from pathlib import Path

import pytest

from byoi_agent.errors import ConfigError
from byoi_agent.models.folders import look_through

CONFIG = {"architectures": ["LlamaForCausalLM"], "max_position_embeddings": 4096}


def safetensors(content=b"\0" * 64):
    header = json.dumps({"w": {"dtype": "U8", "shape": [64], "data_offsets": [0, 64]}}).encode()
    return struct.pack("<Q", len(header)) + header + content


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "tiny-model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "model.safetensors").write_bytes(safetensors())
    (folder / "tokenizer.json").write_text("{}")
    return folder


def test_a_model_is_known_by_its_folder(model):
    found = look_through(model)
    assert found.id == "tiny-model"
    assert found.path == model
    assert found.context_tokens == 4096
    assert found.architectures == ("LlamaForCausalLM",)
    assert found.weight_bytes == len(safetensors())
    assert found.created_at > 0


@pytest.mark.parametrize(
    "name", ["pytorch_model.bin", "w.pt", "w.PTH", "w.pkl", "w.ckpt", "modeling_x.py", "sub/a.so"]
)
def test_what_could_hold_code_is_refused_wherever_it_lies(model, name):
    file = model / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"")
    with pytest.raises(ConfigError, match=r"could hold code.*keep its .safetensors"):
        look_through(model)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", {**CONFIG, "auto_map": {"AutoModel": "x.Y"}}),
        ("config.json", {**CONFIG, "text_config": {"auto_map": {}}}),
        ("tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["x.Y", None]}}),
        ("processor_config.json", {"parts": [{"auto_map": 1}]}),
    ],
)
def test_a_model_that_wants_code_of_its_own_is_refused(model, name, content):
    (model / name).write_text(json.dumps(content))
    with pytest.raises(ConfigError, match=rf"{name} asks for code.*auto_map"):
        look_through(model)


@pytest.mark.parametrize(
    "raw",
    [b"", b"\xff" * 1000, struct.pack("<Q", 10) + b"no json !!", struct.pack("<Q", 2) + b"[]"],
)
def test_what_is_no_safetensors_file_is_never_handed_to_an_engine(model, raw):
    (model / "model.safetensors").write_bytes(raw)
    with pytest.raises(ConfigError, match="no safetensors file"):
        look_through(model)


def test_a_folder_that_is_no_model_says_what_it_lacks(model, tmp_path):
    with pytest.raises(ConfigError, match="no such folder"):
        look_through(tmp_path / "none")
    (model / "model.safetensors").unlink()
    with pytest.raises(ConfigError, match=r"no .safetensors file"):
        look_through(model)
    (model / "config.json").unlink()
    with pytest.raises(ConfigError, match=r"no config.json"):
        look_through(model)


@pytest.mark.parametrize(("text", "said"), [("{", "is no JSON"), ("[1]", "describes no model")])
def test_a_damaged_config_is_said(model, text, said):
    (model / "config.json").write_text(text)
    with pytest.raises(ConfigError, match=said):
        look_through(model)


def test_the_context_may_stand_deeper_and_is_vllms_where_it_stands_nowhere(model):
    (model / "config.json").write_text(json.dumps({"text_config": {"n_positions": 77}}))
    assert look_through(model).context_tokens == 77
    for untold in ({"max_position_embeddings": -1}, {"n_positions": True}, {}):
        (model / "config.json").write_text(json.dumps(untold))
        assert look_through(model).context_tokens == 2048


def test_links_may_point_to_files_and_to_nothing_else(model, tmp_path):
    blob = tmp_path / "blob"
    blob.write_bytes(safetensors())
    (model / "second.safetensors").symlink_to(model / "model.safetensors")
    assert look_through(model).weight_bytes == 2 * len(safetensors())
    (model / "third.safetensors").symlink_to(blob)
    with pytest.raises(ConfigError, match=r"third.safetensors points out of the model's folder"):
        look_through(model)
    (model / "third.safetensors").unlink()
    (model / "elsewhere").symlink_to(tmp_path)
    with pytest.raises(ConfigError, match="points to another folder"):
        look_through(model)
    (model / "elsewhere").unlink()
    (model / "gone").symlink_to("/nowhere/x")
    with pytest.raises(ConfigError, match="points nowhere"):
        look_through(model)
    (model / "gone").unlink()
    os.mkfifo(model / "pipe")
    with pytest.raises(ConfigError, match="no regular file"):
        look_through(model)


def test_a_snapshot_of_hugging_faces_cache_has_its_repositorys_name_and_links(model, tmp_path):
    snapshot = tmp_path / "models--owner--Some-Model" / "snapshots" / "0123abcd"
    snapshot.parent.mkdir(parents=True)
    model.rename(snapshot)
    blobs = snapshot.parents[1] / "blobs"
    blobs.mkdir()
    (snapshot / "model.safetensors").rename(blobs / "b1")
    (snapshot / "model.safetensors").symlink_to("../../blobs/b1")
    assert look_through(snapshot).id == "Some-Model"
    (tmp_path / "b1").write_bytes(safetensors())
    (snapshot / "two.safetensors").symlink_to(tmp_path / "b1")
    with pytest.raises(ConfigError, match="points out"):
        look_through(snapshot)


def test_a_name_that_no_client_could_ask_for_is_refused(model):
    bad = model.with_name("my model")
    model.rename(bad)
    with pytest.raises(ConfigError, match="rename the folder"):
        look_through(bad)


@pytest.mark.parametrize("name", [".hidden", "my model", "a\nb"])
def test_a_repositorys_name_is_looked_at_like_a_folders(model, tmp_path, name):
    snapshot = tmp_path / f"models--owner--{name}" / "snapshots" / "0123abcd"
    snapshot.parent.mkdir(parents=True)
    model.rename(snapshot)
    with pytest.raises(ConfigError, match="rename the folder"):
        look_through(snapshot)


def test_a_model_that_stands_for_another_one_is_refused(model):
    stands_for = {"speculators_config": {"verifier": {"name_or_path": "/elsewhere"}}}
    (model / "config.json").write_text(json.dumps(CONFIG | stands_for))
    with pytest.raises(ConfigError, match="names another model"):
        look_through(model)


def test_what_cannot_be_read_or_be_a_folder_is_told(model, monkeypatch):
    with pytest.raises(ConfigError, match="cannot be read: File name too long"):
        look_through(model / ("m" * 5000))
    with pytest.raises(ConfigError, match="no such user's home"):
        look_through(Path("~nobody-has-this-name/model"))

    def refuse(*_):
        raise PermissionError(13, "Permission denied", "/models/x/config.json")

    monkeypatch.setattr("byoi_agent.models.folders._json_of", refuse)
    with pytest.raises(ConfigError, match=r"/models/x/config.json cannot be read: Permission"):
        look_through(model)


def test_a_file_of_settings_that_is_too_large_is_not_read(model, monkeypatch):
    monkeypatch.setattr("byoi_agent.models.folders._JSON_LIMIT_BYTES", 10)
    with pytest.raises(ConfigError, match="too large"):
        look_through(model)
