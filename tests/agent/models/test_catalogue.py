from __future__ import annotations

import re

import pytest

from byoi_agent.errors import ConfigError
from byoi_agent.models.catalogue import CATALOGUE, DEFAULT_MODEL, find
from byoi_wire.ids import ModelId


def test_the_default_model_is_there():
    entry = find(DEFAULT_MODEL)
    assert entry.id == "smollm2-135m-instruct"
    assert "You are a helpful" in entry.chat_template
    assert "Hugging Face" not in entry.chat_template
    assert entry.sampling == {"temp": 0.2, "top_p": 0.9}


@pytest.mark.parametrize("entry", CATALOGUE, ids=lambda entry: entry.id)
def test_every_model_is_pinned_and_comes_by_package_name(entry):
    assert re.fullmatch(r"[a-z0-9-]+==[0-9.]+( --hash=sha256:[0-9a-f]{64})+", entry.wheel)
    assert re.fullmatch(r"[0-9a-f]{64}", entry.sha256)
    assert ".." not in entry.file
    assert entry.file.endswith(".gguf")


def test_ids_are_unique():
    assert len({entry.id for entry in CATALOGUE}) == len(CATALOGUE)


@pytest.mark.parametrize("name", ["smollm2-135m", "nothing like it", ""])
def test_an_unknown_model_names_the_nearest(name):
    with pytest.raises(ConfigError, match="did you mean 'smollm2-135m-instruct'"):
        find(ModelId(name))
