from __future__ import annotations

import json

import pytest


@pytest.fixture
def file(tmp_path, monkeypatch):
    """The owner's file, with the text that a test gives it."""

    def write(text):
        path = tmp_path / "config.toml"
        path.write_text(text)
        monkeypatch.setenv("BYOI_CONFIG", str(path))
        return path

    return write


def test_each_value_is_shown_with_who_set_it(byoi, file, monkeypatch):
    place = file("slots = 2\n")
    monkeypatch.setenv("BYOI_QUEUE", "7")
    code, out, _ = byoi("config", "show")
    lines = {line.split()[0]: line.split()[1:] for line in out.splitlines()[1:]}
    assert code == 0
    assert lines["slots"] == ["2", str(place), "reload"]
    assert lines["queue"] == ["7", "BYOI_QUEUE", "reload"]
    assert lines["drain_seconds"] == ["30.0", "default", "reload"]
    assert lines["control_port"] == ["0", "default", "restart"]


def test_secrets_stay_hidden_from_people_and_from_programs(byoi, file):
    file('engine_api_key = "sk-very-secret"\nengine = "http://me:pass-word@h/v1"\n')
    for arguments in (["config", "show"], ["config", "show", "--json"]):
        _, out, _ = byoi(*arguments)
        assert "very-secret" not in out
        assert "pass-word" not in out
        assert "[hidden]" in out


def test_programs_get_the_file_and_the_values_in_their_own_types(byoi, file):
    place = file("slots = 2\n")
    told = json.loads(byoi("config", "show", "--json")[1])
    assert told["file"] == str(place)
    assert {"name": "slots", "value": 2, "source": "file"} in told["settings"]


def test_a_right_file_is_no_mistake(byoi, file):
    file("slots = 2\n")
    code, out, err = byoi("config", "check")
    assert (code, err) == (0, "")
    assert "no mistake found" in out


def test_every_mistake_is_told_with_its_line(byoi, file):
    place = file('slotz = 2\nqueue = "many"\n')
    code, out, err = byoi("config", "check", place)
    assert (code, out) == (78, "")
    first, second = err.splitlines()
    assert first == f"{place}:1: unknown key 'slotz'; did you mean 'slots'?"
    assert second.startswith(f"{place}:2: queue: ")


def test_without_a_file_the_variables_are_checked_alone(byoi, monkeypatch):
    code, out, _ = byoi("config", "check")
    assert code == 0
    assert "defaults" in out
    monkeypatch.setenv("BYOI_ENGIN", "x")
    monkeypatch.setenv("BYOI_SLOTS", "many")
    code, _, err = byoi("config", "check")
    assert code == 78
    assert "BYOI_ENGINE" in err
    assert "the variable BYOI_SLOTS: " in err


def test_a_named_file_is_checked_without_regard_to_the_variables(byoi, file, monkeypatch):
    place = file("slots = 2\n")
    monkeypatch.setenv("BYOI_ENGIN", "x")
    assert byoi("config", "check", place)[0] == 0


def test_a_file_that_was_named_and_is_not_there_is_a_mistake(byoi, tmp_path, monkeypatch):
    assert byoi("config", "check", tmp_path / "none.toml")[0] == 78
    monkeypatch.setenv("BYOI_CONFIG", str(tmp_path / "none.toml"))
    assert byoi("config", "check")[0] == 78


def test_mistakes_for_programs(byoi, file):
    place = file("slotz = 2\n")
    code, out, _ = byoi("config", "check", "--json")
    assert code == 78
    told = json.loads(out)
    assert told["file"] == str(place)
    assert told["problems"] == [{"line": 1, "text": "unknown key 'slotz'; did you mean 'slots'?"}]


def test_a_version_of_an_engine_that_this_byoi_has_not_is_a_mistake(byoi, file, monkeypatch):
    place = file('slots = 2\nengine = "vllm@9.9.9"\n')
    code, out, err = byoi("config", "check")
    assert (code, out) == (78, "")
    assert err == f"{place}:2: engine: this byoi has no vllm 9.9.9; it has 0.32.0\n"
    place.write_text('engine = "vllm@0.32.0"\n')
    assert byoi("config", "check")[0] == 0
    monkeypatch.setenv("BYOI_ENGINE", "vllm@9.9.9")
    _, _, err = byoi("config", "check")
    assert err == "byoi: the variable BYOI_ENGINE: this byoi has no vllm 9.9.9; it has 0.32.0\n"


def test_so_is_one_of_a_model_alone_and_each_is_told_once(byoi, file):
    place = file('engine = "vlm"\n[[models]]\nmodel = "tiny"\nengine = "vlm"\n')
    _, _, err = byoi("config", "check")
    first, second = err.splitlines()
    assert first.startswith(f"{place}:1: engine: unknown engine 'vlm'")
    there = "there is no engine 'vlm'; there are llamacpp and vllm"
    assert second == f"{place}:2: models: engine of 'tiny': {there}"
    place.write_text('engine = "unix:/run/x.sock"\n[[models]]\nmodel = "m"\nengine = "llamacpp"\n')
    assert byoi("config", "check")[0] == 0


def test_the_place_of_the_file_is_told_also_before_there_is_one(byoi, tmp_path):
    assert byoi("config", "path")[1].endswith("/config.toml\n")
    told = json.loads(byoi("config", "path", "--json")[1])
    assert told["file"].endswith("/config.toml")
    assert told["exists"] is False
    asked = byoi("config", "path", "--data-dir", tmp_path)
    assert asked == (0, f"{tmp_path / 'config.toml'}\n", "")
