from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from tests.fakes.adapters import SETTINGS, write_adapter, write_weights

from byoi_agent.config.tables import AdapterSetting
from byoi_agent.errors import ConfigError
from byoi_agent.models.adapters import look_through_adapter

BASE = {"hidden_size": 16, "num_hidden_layers": 2}
LAYER = "base_model.model.model.layers.0.self_attn.q_proj"


@pytest.fixture
def folder(tmp_path):
    return write_adapter(tmp_path / "pirate")


def look(folder, base=BASE):
    return look_through_adapter(AdapterSetting(name="pirate", path=folder), base)


def test_an_adapter_is_known_by_its_name_and_its_rank(folder):
    (folder / "README.md").touch()
    (folder / "LICENSE").touch()
    (folder / ".gitattributes").touch()
    (folder / "checkpoint").mkdir()
    found = look(folder)
    assert (found.name, found.path, found.rank) == ("pirate", folder, 8)
    assert found.weight_bytes == (folder / "adapter_model.safetensors").stat().st_size
    assert found.created_at > 0


def test_a_base_whose_settings_say_little_takes_what_looks_like_an_adapter(folder):
    assert look(folder, {}).rank == 8
    assert look(folder, {"text_config": BASE}).rank == 8


def test_the_largest_rank_of_all_modules_counts(folder):
    given = {**SETTINGS, "rank_pattern": {"v_proj": 32}}
    (folder / "adapter_config.json").write_text(json.dumps(given))
    assert look(folder).rank == 32


@pytest.mark.parametrize("name", ["training_args.bin", "optimizer.pt", "sub/x.py", "a.PKL"])
def test_what_could_hold_code_is_refused_wherever_it_lies(folder, name):
    file = folder / name
    file.parent.mkdir(exist_ok=True)
    file.touch()
    with pytest.raises(ConfigError, match=r"could hold code.*keep its .safetensors"):
        look(folder)


def test_what_is_no_regular_file_is_refused(folder, tmp_path):
    os.mkfifo(folder / "pipe.json")
    with pytest.raises(ConfigError, match="no regular file"):
        look(folder)
    (folder / "pipe.json").unlink()
    (folder / "elsewhere").symlink_to(tmp_path)
    with pytest.raises(ConfigError, match="no regular file"):
        look(folder)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"peft_type": "IA3"}, "of no LoRA adapter: peft_type is 'IA3'"),
        ({"auto_map": {}}, "auto_map"),
        ({"use_dora": True}, "use_dora"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"r": 0}, "from 1 to 512"),
        ({"r": True}, "from 1 to 512"),
        ({"r": "8"}, "from 1 to 512"),
        ({"rank_pattern": {"v_proj": 100_000}}, "from 1 to 512"),
        ({"rank_pattern": [3]}, "from 1 to 512"),
    ],
)
def test_settings_of_another_kind_of_adapter_are_refused(folder, settings, told):
    (folder / "adapter_config.json").write_text(json.dumps({**SETTINGS, **settings}))
    with pytest.raises(ConfigError, match=told):
        look(folder)


def test_files_that_are_missing_or_broken_are_named(folder, tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="no such folder"):
        look(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="home folder"):
        look(Path("~nobody-of-this-name/x"))
    settings = folder / "adapter_config.json"
    for content, told in ((b"{", "no JSON"), (b"[]", "no settings"), (b" " * 4_000_001, "large")):
        settings.write_bytes(content)
        with pytest.raises(ConfigError, match=told):
            look(folder)
    settings.unlink()
    with pytest.raises(ConfigError, match="holds no adapter_config"):
        look(folder)
    settings.write_text(json.dumps(SETTINGS))
    (folder / "adapter_model.safetensors").unlink()
    with pytest.raises(ConfigError, match="other forms of weights are refused"):
        look(folder)

    def refuse(_path):
        raise PermissionError(13, "Permission denied", str(settings))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(ConfigError, match="cannot be read: Permission denied"):
        look(folder)


@pytest.mark.parametrize(
    "content", [b"", b"\x02\0\0\0\0\0\0\0[]", b"\xff" * 16, b'\x08\0\0\0\0\0\0\0{"a": 1}']
)
def test_damaged_weights_are_refused(folder, content):
    (folder / "adapter_model.safetensors").write_bytes(content)
    with pytest.raises(ConfigError, match="damaged or no safetensors"):
        look(folder)


@pytest.mark.parametrize(
    ("tensors", "told"),
    [
        ({}, "holds no weights"),
        ({"model.embed_tokens.weight": (4, 16)}, "no part of a LoRA adapter"),
        ({f"{LAYER}.lora_A.weight": (8,)}, "no part of a LoRA adapter"),
        ({f"{LAYER}.lora_A.weight": (9, 16)}, "has rank 9, its settings say 8"),
        ({f"{LAYER}.lora_B.weight": (16, 64)}, "has rank 64, its settings say 8"),
        ({f"{LAYER}.lora_A.weight": (8, 32)}, "another base model: q_proj is 32 wide there, 16"),
        (
            {f"{LAYER.replace('.0.', '.2.')}.lora_A.weight": (8, 16)},
            "another base model: this one has 2 layers",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused(folder, tensors, told):
    write_weights(folder, tensors)
    with pytest.raises(ConfigError, match=told):
        look(folder)
