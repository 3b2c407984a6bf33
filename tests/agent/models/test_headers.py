from __future__ import annotations

import json

import pytest

from byoi_agent.errors import ConfigError
from byoi_agent.models.headers import config_in, tensors_in


def weights(file, *names):
    table = {
        name: {"dtype": "F32", "shape": [2], "data_offsets": [8 * at, 8 * at + 8]}
        for at, name in enumerate(names)
    }
    head = json.dumps(table).encode()
    file.write_bytes(len(head).to_bytes(8, "little") + head + bytes(8 * len(names)))


def names(folder):
    return sorted(tensor.name for tensor in tensors_in(folder))


def test_a_folder_without_settings_has_none(tmp_path):
    assert config_in(tmp_path) is None
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    assert config_in(tmp_path) == {"model_type": "llama"}


@pytest.mark.parametrize("text", ["{", "[1]", "[" * 100_000])
def test_settings_that_are_none_are_refused_by_name(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ConfigError, match=r"config\.json is no JSON"):
        config_in(tmp_path)


def test_settings_that_are_too_large_are_not_read(tmp_path):
    with (tmp_path / "config.json").open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(ConfigError, match="too large"):
        config_in(tmp_path)


def test_tensors_of_all_files_are_counted_once(tmp_path):
    weights(tmp_path / "model-1.safetensors", "a", "b")
    weights(tmp_path / "model-2.safetensors", "c")
    weights(tmp_path / "consolidated.safetensors", "other.a", "other.b", "other.c")
    assert names(tmp_path) == ["a", "b", "c"]


def test_weights_that_are_there_under_one_name_only_count(tmp_path):
    weights(tmp_path / "consolidated.safetensors", "a")
    assert names(tmp_path) == ["a"]


def test_an_index_says_which_files_count_and_leads_nowhere_else(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    weights(tmp_path / "secret.safetensors", "x")
    weights(folder / "one.safetensors", "a")
    weights(folder / "two.safetensors", "b")
    table = {"a": "one.safetensors", "x": "../secret.safetensors", "y": "missing.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": table}))
    assert names(folder) == ["a"]
    (folder / "model.safetensors.index.json").write_text('{"weight_map": 7}')
    assert names(folder) == []


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"\xff" * 20)
    with pytest.raises(ConfigError, match=r"model\.safetensors is damaged"):
        tensors_in(tmp_path)
