from __future__ import annotations

from types import SimpleNamespace

import pytest

from byoi_agent.bench import parameters
from byoi_agent.bench.parameters import active_parameters
from byoi_agent.config.paths import Paths
from byoi_agent.config.settings import Settings
from byoi_agent.config.tables import ModelSetting
from byoi_agent.errors import ConfigError
from byoi_agent.models.catalogue import DEFAULT_MODEL, find


@pytest.fixture
def paths(tmp_path):
    return Paths(tmp_path / "state", tmp_path / "cache", tmp_path / "run")


@pytest.fixture
def files(monkeypatch, tmp_path):
    """Names of the settings → the model's own name and its active parameters."""
    known = {"/models/mix": ("mix", 3_000), "/models/dense": ("dense", 8_000)}

    def model_of(settings, _paths):
        if settings.model not in known:
            raise ConfigError("there is no such model")
        name, _ = known[settings.model]
        return SimpleNamespace(id=name, path=tmp_path / name)

    def facts_at(path):
        active = dict(known.values())
        return SimpleNamespace(active_parameters=active[path.name])

    monkeypatch.setattr(parameters, "model_of", model_of)
    monkeypatch.setattr(parameters, "facts_at", facts_at)


def test_the_model_counts_that_is_offered_under_this_name(files, paths):
    several = Settings(
        model="/models/dense",
        models=(ModelSetting(model="/gone"), ModelSetting(model="/models/mix")),
    )
    assert active_parameters(several, paths, "mix") == 3_000
    assert active_parameters(several, paths, "dense") == 8_000


def test_a_model_that_is_not_here_is_unknown(files, paths):
    assert active_parameters(Settings(), paths, "mix") is None


def test_a_model_of_the_catalogue_is_looked_for_in_the_store(paths, monkeypatch):
    asked = []

    def facts_at(path):
        asked.append(path)
        raise ConfigError("there is no such file")

    monkeypatch.setattr(parameters, "facts_at", facts_at)
    assert active_parameters(Settings(), paths, DEFAULT_MODEL) is None
    assert asked[0].name == find(DEFAULT_MODEL).file.rpartition("/")[2]
