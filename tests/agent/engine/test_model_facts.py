from __future__ import annotations

import json
import struct

import pytest

from byoi_agent.engine.model_facts import facts_at
from byoi_agent.errors import ConfigError

CONFIG = {
    "model_type": "llama", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 1,
    "num_attention_heads": 4, "vocab_size": 32, "torch_dtype": "bfloat16",
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    return tmp_path


def weights(file, elements):
    table = {"a": {"dtype": "BF16", "shape": [elements], "data_offsets": [0, 2 * elements]}}
    head = json.dumps(table).encode()
    file.write_bytes(len(head).to_bytes(8, "little") + head + bytes(2 * elements))


def text(value):
    return struct.pack("<Q", len(value)) + value.encode()


def gguf(file):
    def pair(name, value):
        if isinstance(value, str):
            return text(name) + struct.pack("<I", 8) + text(value)
        return text(name) + struct.pack("<II", 4, value)

    pairs = [
        pair("general.architecture", "llama"),
        pair("llama.block_count", 2),
        pair("llama.embedding_length", 64),
        pair("llama.attention.head_count", 4),
        pair("llama.context_length", 512),
    ]
    tensor = text("token_embd.weight") + struct.pack("<IQQIQ", 2, 64, 32, 1, 0)
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, len(pairs)) + b"".join(pairs) + tensor
    padding = bytes(-len(head) % 32)
    file.write_bytes(head + padding + bytes(64 * 32 * 2))


def test_a_config_alone_is_enough(folder):
    found = facts_at(folder)
    assert (found.origin, found.name) == ("config.json", folder.name)
    assert facts_at(folder / "config.json") == found
    assert facts_at(folder, "another").name == "another"


def test_weights_beside_it_are_weighed(folder):
    weights(folder / "model.safetensors", 1000)
    found = facts_at(folder)
    assert (found.origin, found.weight_bytes) == ("safetensors headers", 2000)
    assert facts_at(folder, quantisation="awq").origin == "config.json"


def test_a_gguf_tells_all_by_itself(tmp_path):
    gguf(tmp_path / "m.Q4.gguf")
    found = facts_at(tmp_path / "m.Q4.gguf")
    assert (found.origin, found.name, found.weight_bytes) == ("GGUF header", "m.Q4", 4096)
    assert facts_at(tmp_path).origin == "GGUF header"


def test_a_gguf_in_parts_is_weighed_whole(tmp_path):
    for part in (1, 2):
        gguf(tmp_path / f"m-0000{part}-of-00002.gguf")
    assert facts_at(tmp_path / "m-00001-of-00002.gguf").weight_bytes == 8192


@pytest.mark.parametrize("name", ["missing", "missing.gguf"])
def test_what_is_not_there_is_named(tmp_path, name):
    with pytest.raises(ConfigError, match=name):
        facts_at(tmp_path / name)


def test_a_folder_with_nothing_to_reckon_with_says_so(tmp_path):
    with pytest.raises(ConfigError, match=r"neither a config\.json nor safetensors"):
        facts_at(tmp_path)
