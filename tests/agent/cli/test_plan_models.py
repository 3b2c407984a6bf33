from __future__ import annotations

import json

import pytest

from byoi_agent.cli import program
from byoi_agent.engine.kept_loads import KeptLoads
from byoi_agent.planning.calibration import Key, Observation


@pytest.fixture
def ask(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("BYOI_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("BYOI_CACHE_DIR", str(tmp_path / "cache"))

    def ask(*arguments):
        code = program.run(["plan", "models", *arguments])
        return code, capsys.readouterr().out

    return ask


def test_what_fits_is_listed_with_size_context_and_speed(ask):
    code, out = ask("--gpu", "RTX 4090:24", "--json")
    rows = {row["model"]: row for row in json.loads(out)["models"]}
    assert code == 0
    eight = rows["meta-llama/Llama-3.1-8B-Instruct"]
    assert eight["fits"]
    assert eight["expected"]["decode_tokens_per_second"] > 10
    assert rows["mistralai/Mistral-Small-24B-Instruct-2501"]["quantisation"] == "awq"
    assert "deepseek-ai/DeepSeek-V3" not in rows


def test_a_model_of_the_catalogue_that_is_well_known_besides_has_one_row(ask):
    rows = json.loads(ask("--gpu", "RTX 4090:24", "--all", "--json")[1])["models"]
    assert len({row["model"] for row in rows}) == len(rows)
    assert [row["source"] for row in rows if "SmolLM2" in row["model"]] == ["catalogue"]


def test_all_are_listed_when_asked_and_the_others_counted(ask):
    _, out = ask("--gpu", "RTX 4090:24", "--all", "--json")
    rows = {row["model"]: row for row in json.loads(out)["models"]}
    assert rows["deepseek-ai/DeepSeek-V3"]["fits"] is False
    _, table = ask("--gpu", "RTX 4090:24")
    assert "more do not fit" in table
    assert "Qwen/Qwen3-8B" in table
    assert "does not fit" in ask("--gpu", "RTX 4090:24", "--all")[1]


def test_how_far_off_earlier_estimates_were_is_told(ask, tmp_path):
    here = ("--gpu", "RTX 4090:24", "--data-dir", str(tmp_path))
    assert json.loads(ask(*here, "--json")[1])["accuracy"] is None
    kept = KeptLoads(tmp_path / "loads.json")
    for number, expected in enumerate((100, 198)):
        key = Key("vllm", "0", "m", "bf16", 2048, number + 1)
        kept.learn(key, Observation(100, 200, float(number), expected))
    told = json.loads(ask(*here, "--json")[1])["accuracy"]
    assert told == {"loads": 2, "before": 0.5, "after": pytest.approx(0.255)}
    assert "the last 2 loads here: 50.0% off as reckoned, 25.5%" in ask(*here)[1]
