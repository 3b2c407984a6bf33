from __future__ import annotations

import json
from pathlib import Path

import pytest

from byoi_agent.planning.facts import from_config
from byoi_agent.planning.known_models import KNOWN_MODELS, known_model

PUBLISHED = {
    told["model"]: told["config"]
    for told in (
        json.loads(path.read_text()) for path in (Path(__file__).parent / "models").glob("*.json")
    )
}


@pytest.mark.parametrize("name", KNOWN_MODELS)
def test_what_is_left_out_of_a_config_changes_nothing(name):
    assert from_config(name, KNOWN_MODELS[name]) == from_config(name, PUBLISHED[name])


def test_a_model_is_known_with_and_without_its_publisher():
    assert known_model("qwen/qwen3-8b") == known_model("Qwen3-8B")
    assert known_model("Qwen3-8B")[0] == "Qwen/Qwen3-8B"
    assert known_model("qwen3") is None
