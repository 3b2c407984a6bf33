from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from byoi_agent.config.paths import Paths
from byoi_agent.config.settings import Settings
from byoi_agent.engine import prediction as module
from byoi_agent.engine.estimate import Demand, Reckoning
from byoi_agent.engine.kinds import llamacpp
from byoi_agent.engine.prediction import Prediction, Predictions, predict, running_version
from byoi_agent.engine.view import EngineLoad
from byoi_agent.errors import ConfigError
from byoi_agent.planning.calibration import Corrections, Key, Observation

RECKONED = Reckoning("smol", "q4_1", 2048, 4, 1000, is_on_devices=False)
KEY = Key("llamacpp", llamacpp.RUNTIME.version, "smol", "q4_1", 2048, 4)
SETTINGS = Settings(engine="llamacpp")


@pytest.fixture
def paths(tmp_path):
    return Paths(tmp_path, tmp_path, tmp_path)


@pytest.fixture
def reckoned(monkeypatch):
    def run(answer):
        monkeypatch.setattr(module, "reckon", lambda *_: answer)

    return run


def test_a_load_has_the_name_of_its_engine_version_model_and_sizes(reckoned, paths):
    reckoned(RECKONED)
    assert predict(SETTINGS, paths) == Prediction(KEY, 1000, is_on_devices=False)


def test_what_cannot_be_reckoned_is_not_predicted(reckoned, paths, monkeypatch):
    reckoned(None)
    assert predict(SETTINGS, paths) is None
    reckoned(replace(RECKONED, memory_bytes=0))
    assert predict(SETTINGS, paths) is None

    def refuse(*_):
        raise ConfigError("no such model")

    monkeypatch.setattr(module, "reckon", refuse)
    assert predict(SETTINGS, paths) is None


def test_what_earlier_loads_took_is_counted_with(reckoned, paths):
    predictions = Predictions(paths)
    reckoned(RECKONED)
    assert predictions.expected_bytes(SETTINGS, Corrections()) is None  # nobody has read it yet
    assert predictions.of(SETTINGS, ()).predicted_bytes == 1000
    assert predictions.expected_bytes(SETTINGS, Corrections()) == 1000
    taught = Corrections({KEY: tuple(Observation(1000, 1500, float(at)) for at in range(5))})
    assert 1450 < predictions.expected_bytes(SETTINGS, taught) <= 1500


def test_a_share_is_what_it_is_and_what_it_holds_is_reckoned_once_the_engine_tells(paths, reckoned):
    reckoned(replace(RECKONED, memory_bytes=9000, is_on_devices=True, demand=Demand(500, 1000)))
    found = predict(SETTINGS, paths)
    assert found.reckoned_bytes(None) is None
    assert found.reckoned_bytes(EngineLoad(prompt_tokens=7)) is None
    assert found.reckoned_bytes(EngineLoad(held_tokens=3 * 2048)) == 500 + 3 * 1000
    taught = Corrections({KEY: (Observation(1000, 2000, 1.0),)})
    assert found.expected_bytes(taught) == 9000
    assert replace(found, demand=None).reckoned_bytes(None) == 9000


def test_heads_are_read_once_for_each_load(reckoned, paths):
    predictions = Predictions(paths)
    reckoned(None)
    assert predictions.of(SETTINGS, ()) is None
    reckoned(RECKONED)
    assert predictions.of(SETTINGS, ()).predicted_bytes == 1000  # its files have come
    reckoned(replace(RECKONED, memory_bytes=7))
    assert predictions.of(SETTINGS, ()).predicted_bytes == 1000
    assert predictions.of(SETTINGS.model_copy(update={"slots": 2}), ()).predicted_bytes == 7


def test_builds_for_different_hardware_do_not_teach_each_other(monkeypatch):
    release = SimpleNamespace(version="0.32.0", build="cuda")
    monkeypatch.setattr(module, "vllm_release", lambda engine: release)
    assert running_version("vllm@0.32.0") == ("vllm", "0.32.0 cuda")
    assert running_version("llamacpp") == ("llamacpp", llamacpp.RUNTIME.version)
