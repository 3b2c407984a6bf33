from __future__ import annotations

from pathlib import Path

import pytest

from byoi_console.cli.serve import serve
from byoi_console.config import ENVIRONMENT_PREFIX, Settings, load
from byoi_console.errors import ConfigError


def test_without_anything_there_are_defaults():
    settings = load({}, {"HOME": "/home/x"})
    assert (settings.host, settings.port, settings.origin) == ("127.0.0.1", 8700, None)
    assert settings.database.startswith("sqlite+aiosqlite:////")


def test_a_flag_beats_a_variable_and_a_variable_beats_a_default():
    environment = {"BYOI_CONSOLE_PORT": "1", "BYOI_CONSOLE_HOST": "::1"}
    settings = load({"port": 2, "host": None}, environment)
    assert (settings.port, settings.host) == (2, "::1")


def test_an_unknown_variable_is_refused_with_a_guess():
    with pytest.raises(ConfigError, match="did you mean BYOI_CONSOLE_DATA_DIR"):
        load({}, {"BYOI_CONSOLE_DATADIR": "/x"})


def test_another_program_s_variables_are_none_of_ours():
    load({}, {"BYOI_CONSOLES": "x", "PORT": "99999"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "65536"),
        ("PORT", "x"),
        ("ORIGIN", "byoi.example"),
        ("ORIGIN", "https://byoi.example/path"),
        ("ORIGIN", "ftp://byoi.example"),
        ("LOG_FORMAT", "xml"),
        ("DRAIN_SECONDS", "-1"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(name, value):
    with pytest.raises(ConfigError, match=name.lower()):
        load({}, {f"{ENVIRONMENT_PREFIX}{name}": value})


def test_an_origin_loses_its_last_slash():
    assert load({"origin": "https://byoi.example/"}, {}).origin == "https://byoi.example"


def test_the_database_lies_in_the_data_folder_unless_told_otherwise():
    assert load({"data_dir": Path("/d")}, {}).database == "sqlite+aiosqlite:////d/console.sqlite3"
    assert load({"database_url": "postgresql+asyncpg://h/b"}, {}).database.startswith("postgresql")


def test_every_setting_is_a_flag_of_serve():
    flags = {parameter.name for parameter in serve.params}
    assert set(Settings.model_fields) <= flags
