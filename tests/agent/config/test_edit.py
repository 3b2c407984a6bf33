from __future__ import annotations

import os
import stat

import pytest

from byoi_agent.config.edit import serve_model, set_value, unserve_model
from byoi_agent.config.loading import load
from byoi_agent.config.toml_file import table_of
from byoi_agent.errors import ConfigError

TEXT = """\
# The node in the cellar.
engine = "llamacpp"   # small

slots = 2
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(TEXT)
    return path


def test_a_value_is_changed_and_comments_and_order_stay(file):
    set_value(file, "slots", 4)
    assert file.read_text() == TEXT.replace("slots = 2", "slots = 4")
    set_value(file, "engine", "http://127.0.0.1:1/v1")
    assert file.read_text().startswith("# The node in the cellar.\n")
    assert 'engine = "http://127.0.0.1:1/v1"   # small' in file.read_text()


def test_a_new_value_is_added_and_an_old_one_taken_out(file):
    set_value(file, "drain_seconds", 1.5)
    set_value(file, "slots", None)
    set_value(file, "queue", None)  # was not there
    loaded = load({}, {}, file)
    assert loaded.values.drain_seconds == 1.5
    assert loaded.sources["slots"] == "default"
    assert "# small" in file.read_text()


def test_a_file_that_is_not_there_is_made_for_its_owner_alone(tmp_path):
    file = tmp_path / "new" / "config.toml"
    set_value(file, "model", "qwen")
    assert file.read_text() == 'model = "qwen"\n'
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_rights_are_kept_and_a_link_is_followed(file, tmp_path):
    file.chmod(0o640)
    link = tmp_path / "link.toml"
    link.symlink_to(file)
    set_value(link, "slots", 3)
    assert link.is_symlink()
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert "slots = 3" in file.read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.toml", "link.toml"]


def test_windows_line_ends_stay(tmp_path):
    file = tmp_path / "config.toml"
    file.write_bytes(b"slots = 2\r\nqueue = 1\r\n")
    set_value(file, "slots", 3)
    assert file.read_bytes() == b"slots = 3\r\nqueue = 1\r\n"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("slotz", 2, "no setting 'slotz'; did you mean 'slots'"),
        ("slots", 0, "slots: .*greater than or equal to 1"),
        ("engine", "olama", "unknown engine"),
    ],
)
def test_an_unknown_name_or_a_bad_value_changes_nothing(file, name, value, words):
    with pytest.raises(ConfigError, match=words):
        set_value(file, name, value)
    assert file.read_text() == TEXT


@pytest.mark.parametrize("text", [b"slotz = 1\n", b"slots = \n", b"model = '\xe9'\n"])
def test_a_file_that_is_wrong_already_is_told_and_left_alone(file, text):
    file.write_bytes(text)
    with pytest.raises(ConfigError, match=r"config\.toml"):
        set_value(file, "queue", 1)
    assert file.read_bytes() == text


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        set_value(tmp_path, "slots", 1)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(28, "No space left on device"), r"cannot be written: No space left on device$"),
        (
            PermissionError(13, "Permission denied"),
            r"cannot be written: Permission denied; do it as a user who may: sudo byoi …$",
        ),
    ],
)
def test_a_folder_that_cannot_be_written_to_is_told(file, monkeypatch, error, told):
    def refuse(*_):
        raise error

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(ConfigError, match=told):
        set_value(file, "slots", 3)
    assert file.read_text() == TEXT
    assert [path.name for path in file.parent.iterdir()] == ["config.toml"]


def test_a_file_as_a_windows_editor_left_it_is_left_so(file):
    file.write_bytes(b"\xef\xbb\xbfslots = 2\r\nqueue = 1\r\n")
    set_value(file, "slots", 4)
    assert file.read_bytes() == b"\xef\xbb\xbfslots = 4\r\nqueue = 1\r\n"


@pytest.fixture
def fresh(tmp_path):
    return tmp_path / "fresh.toml"


def test_the_only_model_is_one_setting(fresh):
    assert serve_model(fresh, "o/n", {"engine": "vllm", "context_tokens": None})
    assert table_of(fresh.read_text()) == {"model": "o/n", "engine": "vllm"}
    assert not serve_model(fresh, "o/n", {"engine": "llamacpp"})
    assert table_of(fresh.read_text()) == {"model": "o/n", "engine": "llamacpp"}
    assert unserve_model(fresh, "o/n")
    assert table_of(fresh.read_text()) == {"engine": "llamacpp"}
    assert not unserve_model(fresh, "o/n")


def test_a_second_model_makes_tables_of_both_and_keeps_what_the_owner_wrote(fresh):
    fresh.write_text('# mine\nmodel = "a"  # the first\nslots = 3\n\n[tariff]\n'
                    'currency = "EUR"\nprice_per_kwh = 0.3\n')  # fmt: skip
    assert serve_model(fresh, "o/n", {"engine": "vllm", "priority": 70})
    text = fresh.read_text()
    assert text.startswith("# mine\n")
    assert table_of(text) == {
        "slots": 3,
        "tariff": {"currency": "EUR", "price_per_kwh": 0.3},
        "models": [{"model": "a"}, {"model": "o/n", "engine": "vllm", "priority": 70}],
    }
    assert not serve_model(fresh, "a", {"context_tokens": 512})
    assert unserve_model(fresh, "o/n")
    assert table_of(fresh.read_text())["models"] == [{"model": "a", "context_tokens": 512}]
    assert unserve_model(fresh, "a")
    assert "models" not in table_of(fresh.read_text())


def test_an_entry_keeps_what_was_not_chosen_now(fresh):
    fresh.write_text('[[models]]\nmodel = "a"\nslots = 2 # few\n\n[[models]]\nmodel = "b"\n')
    serve_model(fresh, "a", {"load": "start"})
    assert fresh.read_text() == (
        '[[models]]\nmodel = "a"\nslots = 2 # few\nload = "start"\n\n[[models]]\nmodel = "b"\n'
    )
    serve_model(fresh, "c", {})
    assert [one["model"] for one in table_of(fresh.read_text())["models"]] == ["a", "b", "c"]


def test_models_in_one_pair_of_brackets_stay_there(fresh):
    fresh.write_text('models = [{ model = "a" }]\n')
    serve_model(fresh, "b", {"slots": 2})
    assert table_of(fresh.read_text())["models"] == [{"model": "a"}, {"model": "b", "slots": 2}]
    assert unserve_model(fresh, "a")
    assert "[[" not in fresh.read_text()


def test_a_setting_put_in_later_does_not_fall_into_a_table(fresh):
    fresh.write_text('[[models]]\nmodel = "a"\n')
    set_value(fresh, "slots", 2)
    assert table_of(fresh.read_text()) == {"models": [{"model": "a"}], "slots": 2}


def test_a_choice_that_does_not_fit_changes_nothing(fresh):
    fresh.write_text('[[models]]\nmodel = "a"\n')
    with pytest.raises(ConfigError, match="priority"):
        serve_model(fresh, "a", {"priority": 1000})
    assert fresh.read_text() == '[[models]]\nmodel = "a"\n'


def test_a_file_whose_models_are_none_is_not_touched(fresh):
    fresh.write_text('models = "a"\n')
    for change in (lambda: serve_model(fresh, "b", {}), lambda: unserve_model(fresh, "a")):
        with pytest.raises(ConfigError, match="models"):
            change()
    assert fresh.read_text() == 'models = "a"\n'
