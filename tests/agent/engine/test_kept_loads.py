from __future__ import annotations

import pytest

from byoi_agent.engine.kept_loads import KeptLoads, read_loads
from byoi_agent.planning.calibration import Corrections, Key, Observation

KEY = Key("llamacpp", "2026.10", "smol", "Q4_1", 2048, 4)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "loads.json"


def test_what_was_learnt_is_known_after_a_restart(file):
    KeptLoads(file).learn(KEY, Observation(100, 120, 7.5, 110))
    assert KeptLoads(file).corrections == Corrections({KEY: (Observation(100, 120, 7.5, 110),)})
    assert read_loads(file).of(KEY).error == pytest.approx(0.2)


def test_it_is_for_the_owner_s_eyes_only(file):
    KeptLoads(file).learn(KEY, Observation(100, 120, 7.5))
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["loads.json"]


def test_nothing_learnt_yet_is_nothing_known(file):
    assert KeptLoads(file).corrections == read_loads(file) == Corrections()
    assert not file.exists()


@pytest.mark.parametrize(
    "text", ["", "{", '{"loads": 1}', '{"loads": [{"engine": "x"}]}', "\x00" * 100]
)
def test_a_broken_file_is_set_aside_and_learning_begins_anew(file, text, caplog):
    file.write_text(text)
    file.chmod(0o600)
    assert read_loads(file) == Corrections()
    assert file.exists()  # somebody who only reads moves nothing
    kept = KeptLoads(file)
    assert "set aside" in caplog.text
    assert file.with_name("loads.json.unreadable").read_text() == text
    kept.learn(KEY, Observation(100, 120, 7.5))
    assert KEY in read_loads(file).seen


def test_a_full_disk_costs_no_engine(file, monkeypatch, caplog):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("byoi_agent.engine.kept_loads.write_private", full)
    kept = KeptLoads(file)
    kept.learn(KEY, Observation(100, 120, 7.5))
    assert KEY in kept.corrections.seen
    assert "cannot be kept" in caplog.text


def test_a_file_that_cannot_be_moved_is_told_and_left(file, monkeypatch, caplog):
    file.write_text("{")
    file.chmod(0o600)

    def stuck(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.replace", stuck)
    assert KeptLoads(file).corrections == Corrections()
    assert "cannot be set aside either" in caplog.text
