from __future__ import annotations

import json

import pytest

from byoi_agent.cli import program

CONFIG = {
    "model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336,
    "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
    "vocab_size": 128256, "torch_dtype": "bfloat16", "max_position_embeddings": 131072,
}  # fmt: skip
CARD = ("--gpu", "RTX 4090:24")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    return tmp_path


@pytest.fixture
def ask(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("BYOI_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("BYOI_CACHE_DIR", str(tmp_path / "cache"))

    def ask(*arguments):
        code = program.run(["plan", "serve", *map(str, arguments)])
        told = capsys.readouterr()
        return code, told.out, told.err

    return ask


def test_a_folder_with_a_config_alone_is_answered_in_plain_numbers(ask, folder):
    code, out, _ = ask(folder, *CARD, "--context", 8192, "--json")
    told = json.loads(out)
    assert code == 0
    assert told["parameters"] == 8_030_261_248
    assert told["weight_bytes"] == 16_060_522_496
    assert told["kv_bytes_per_token"] == 131_072
    assert told["fits"] is True
    assert told["engine_arguments"][:2] == ["--max-model-len", "8192"]
    assert told["devices_considered"][0]["name"] == "RTX 4090"
    assert told["reasons"] == []


def test_the_arithmetic_is_shown_to_people(ask, folder):
    code, out, _ = ask(folder, *CARD, "--context", 8192)
    assert code == 0
    assert "8,030,261,248 x 2 bytes (bf16) = 14.96 GiB" in out
    assert "It fits: 5 at once with 8,192 tokens each." in out
    assert "byoi run --model" in out


def test_what_does_not_fit_says_what_would_and_is_no_failure(ask, folder):
    code, out, _ = ask(folder, "--gpu", "RTX 3060:12")
    assert code == 0
    assert "It does not fit." in out
    assert "--quantisation fp8" in out
    assert "2 x RTX 3060" in out


def test_another_quantisation_and_many_cards(ask):
    code, out, _ = ask(
        *("llama-3.1-70b-instruct", "--gpu", "RTX 4090:24x2", "--quantisation", "awq", "--json")
    )
    told = json.loads(out)
    assert (code, told["fits"], told["tensor_parallel"]) == (0, True, 2)
    assert told["quantisation"] == "awq"


def test_a_form_of_gguf_s_is_for_the_engine_that_reads_it(ask, folder):
    told = json.loads(ask(folder, *CARD, "--quantisation", "q4_k_m", "--json")[1])
    assert told["engine"] == "llamacpp"


def test_this_machine_is_planned_for_where_no_gpu_is_meant(ask):
    code, out, _ = ask("SmolLM2-135M-Instruct", "--json")
    assert code == 0
    assert json.loads(out)["devices_considered"]


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (("llama-3.1-8b-instuct",), 78, "did you mean 'Llama-3.1-8B-Instruct'"),
        (("zzzz",), 78, "byoi models pull"),
        (("./missing",), 78, "no such folder"),
        (("Qwen3-8B", "--gpu", "odd"), 64, "RTX 4090:24"),
        (("Qwen3-8B", "--gpu", "a:0"), 64, "RTX 4090:24"),
        (("Qwen3-8B", *CARD, "--context", 50_000), 78, "40960 tokens of context at most"),
    ],
)
def test_what_cannot_be_planned_is_told_in_a_sentence(ask, arguments, code, word):
    ended, _, err = ask(*arguments)
    assert ended == code
    assert word in err
    assert "Traceback" not in err


def test_an_unknown_architecture_is_named(ask, tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "zebra"}')
    code, _, err = ask(tmp_path)
    assert code == 78
    assert "'zebra'" in err


@pytest.mark.parametrize(
    ("arguments", "by_hand"),
    [
        (("qwen2.5-7b-instruct", "--gpu", "RTX 3060:5x7"), "--pipeline-parallel-size"),
        (("qwen2.5-7b-instruct", "--gpu", "RTX 4090:24", "--kv-dtype", "fp8"), "--kv-cache-dtype"),
        (("qwen2.5-7b-instruct", "--gpu", "RTX 4090:24", "--engine", "llamacpp"), "--n-gpu-layers"),
    ],
)
def test_what_byoi_would_not_start_so_is_told_for_the_engine_itself(ask, arguments, by_hand):
    code, out, _ = ask(*arguments)
    assert code == 0
    assert "To serve it" not in out
    assert by_hand in out
    assert "byoi run --engine http" in out
