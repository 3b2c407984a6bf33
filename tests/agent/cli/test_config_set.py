from __future__ import annotations

import json

import pytest

from byoi_agent.cli.main import EXIT_CONFIG
from byoi_agent.config.settings import Settings


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setenv("BYOI_DATA_DIR", str(tmp_path))
    return tmp_path / "config.toml"


@pytest.fixture
def editor(tmp_path, monkeypatch):
    """An editor that does this to the file."""

    def use(script):
        program = tmp_path / "editor"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o700)
        monkeypatch.setenv("VISUAL", str(program))

    return use


def test_a_setting_is_set_and_unset_and_all_else_stays_as_it_was_written(byoi, file):
    file.write_text("# mine\nqueue = 3  # so\n")
    code, out, _ = byoi("config", "set", "slots", "4")
    assert code == 0
    assert "byoi run" in out
    assert file.read_text() == "# mine\nqueue = 3  # so\nslots = 4\n"
    assert byoi("config", "unset", "slots")[0] == 0
    assert file.read_text() == "# mine\nqueue = 3  # so\n"


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("engine", "vllm", 'engine = "vllm"'),
        ("idle.after_minutes", "7.5", "after_minutes = 7.5"),
        ("idle.programs", '["blender", "steam*"]', 'programs = ["blender", "steam*"]'),
        ("mode", "idle", 'mode = "idle"'),
    ],
)
def test_text_numbers_and_lists(byoi, file, name, value, line):
    code, out, _ = byoi("config", "set", name, value, "--json")
    assert code == 0
    assert line in file.read_text().splitlines()
    assert json.loads(out)["setting"]["source"] == "file"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("slotz", "4", "did you mean 'slots'"),
        ("slots", "many", "integer"),
        ("idle.after_minutes", "-1", "idle.after_minutes: Input should be greater"),
        ("idle.after_minutes", "-.5e1", "idle.after_minutes: Input should be greater"),
        ("idle.afterminutes", "4", "after_minutes"),
        ("idle", "4", "is a table"),
        ("models", "x", "byoi models serve"),
        ("engine_api_key", "secret-1", "secret"),
    ],
)
def test_what_cannot_be_is_a_sentence_and_changes_nothing(byoi, file, name, value, words):
    code, out, err = byoi("config", "set", name, value)
    assert (code, out) == (78, "")
    assert words in err
    assert "secret-1" not in err
    assert not file.exists()


def test_what_begins_with_a_dash_and_is_no_number_is_an_option(byoi, file):
    code, out, _ = byoi("config", "set", "idle.after_minutes", "-1", "--json")
    assert (code, out) == (78, "")
    code, _, err = byoi("config", "set", "slots", "-x")
    assert code == 64
    assert "-x" in err
    code, _, err = byoi("config", "set", "--", "slots", "-1")
    assert code == 78
    assert "slots" in err


def test_a_variable_that_wins_is_told(byoi, file, monkeypatch):
    monkeypatch.setenv("BYOI_SLOTS", "9")
    code, _, err = byoi("config", "set", "slots", "4")
    assert code == 0
    assert "BYOI_SLOTS is set and wins" in err
    assert "slots = 4" in file.read_text()


def test_what_the_editor_leaves_is_kept_where_it_is_right(byoi, file, editor):
    editor('echo "slots = 7" > "$1"')
    code, out, _ = byoi("config", "edit")
    assert code == 0
    assert str(file) in out
    assert file.read_text() == "slots = 7\n"
    editor("true")
    assert "nothing changed" in byoi("config", "edit")[1]


def test_a_mistake_in_the_editor_is_told_with_its_line_and_not_kept(byoi, file, editor):
    file.write_text("slots = 1\n")
    editor('echo "slotz = 7" >> "$1"')
    code, _, err = byoi("config", "edit")
    assert code == 78
    assert f"{file}:2: unknown key 'slotz'" in err
    assert "as it was" in err
    assert file.read_text() == "slots = 1\n"


def test_the_ends_of_lines_that_nobody_edited_stay(byoi, file, editor):
    file.write_bytes("slots = 1\r\n# grün\r\n".encode())
    editor('sed -i s/1/7/ "$1"')
    assert byoi("config", "edit")[0] == 0
    assert file.read_bytes() == "slots = 7\r\n# grün\r\n".encode()


def test_a_file_that_is_no_text_is_told_and_not_edited(byoi, file, editor):
    file.write_bytes(b"# gr\xfcn\n")
    editor('echo "slots = 7" > "$1"')
    code, _, err = byoi("config", "edit")
    assert code == EXIT_CONFIG
    assert "UTF-8" in err
    assert file.read_bytes() == b"# gr\xfcn\n"


def test_what_the_editor_leaves_in_another_encoding_is_told_and_not_kept(byoi, file, editor):
    file.write_text("slots = 1\n")
    editor("printf '# gr\\374n\\n' > \"$1\"")
    code, _, err = byoi("config", "edit")
    assert code == EXIT_CONFIG
    assert f"{file}: is not text in UTF-8" in err
    assert file.read_text() == "slots = 1\n"


def test_the_schema_is_of_every_setting(byoi):
    code, out, _ = byoi("config", "schema")
    assert code == 0
    assert json.loads(out)["properties"].keys() == Settings.model_fields.keys()
