from __future__ import annotations

from pathlib import Path

import pytest

from byoi_console.cli.serve import serve
from byoi_console.config import ENVIRONMENT_PREFIX, Settings, load, load_with_sources
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


def written(folder, text, name="byoi-console.toml"):
    file = folder / name
    file.write_text(text)
    return file


def test_a_file_in_the_data_folder_is_read_and_everything_else_beats_it(tmp_path):
    written(tmp_path, 'port = 1\nhost = "::1"\ntrusted_proxies = ["10.1.2.3/8"]\n')
    loaded = load_with_sources({"data_dir": tmp_path}, {"BYOI_CONSOLE_PORT": "2"})
    assert (loaded.values.port, loaded.values.host) == (2, "::1")
    assert loaded.values.trusted_proxies == ("10.0.0.0/8",)
    assert (loaded.sources["port"], loaded.sources["host"]) == ("environment", "file")


def test_a_file_that_is_named_may_say_where_the_data_lies(tmp_path):
    file = written(tmp_path, 'data_dir = "/elsewhere"\n', "c.toml")
    for flags, environment in (({"config": file}, {}), ({}, {"BYOI_CONSOLE_CONFIG": str(file)})):
        assert load(flags, environment).data_dir == Path("/elsewhere")


def test_a_file_in_the_data_folder_cannot_send_the_data_elsewhere(tmp_path):
    written(tmp_path, 'data_dir = "/elsewhere"\n')
    with pytest.raises(ConfigError, match="data_dir cannot be set by a file that lies in it"):
        load({"data_dir": tmp_path}, {})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("port = ", "is not valid TOML"),
        ("prot = 1", "prot is not a setting; did you mean port"),
        ('port = "x"', r"port \(in .*c.toml\)"),
        ("tls_cert = 'a'", "tls_cert and tls_key go together"),
        ("database_url = 'a'\ndatabase_url_file = 'b'", "give one of them"),
        ("trusted_proxies = ['10.0.0.300']", "write 10.0.0.0/8 or 192.0.2.7"),
    ],
)
def test_a_wrong_file_is_refused_in_a_sentence(tmp_path, text, words):
    file = written(tmp_path, text, "c.toml")
    with pytest.raises(ConfigError, match=words):
        load({"config": file}, {})


def test_an_empty_variable_is_not_given():
    assert load({}, {"BYOI_CONSOLE_PORT": ""}).port == 8700


def test_the_database_s_address_can_lie_in_a_file(tmp_path):
    file = written(tmp_path, "postgresql+asyncpg://u:p@h/b\n", "url")
    assert load({"database_url_file": file}, {}).database == "postgresql+asyncpg://u:p@h/b"
    for text, words in (("", "holds no URL"), (None, "cannot read")):
        file.unlink() if text is None else file.write_text(text)
        with pytest.raises(ConfigError, match=words):
            _ = load({"database_url_file": file}, {}).database


def test_a_database_s_password_is_in_no_representation_of_the_settings():
    assert "s3cret" not in repr(load({"database_url": "postgresql://u:s3cret@h/b"}, {}))


@pytest.mark.parametrize("name", ["host", "data_dir", "origin", "tls_cert", "database_url"])
def test_nothing_is_no_value(name):
    # Of a host it would make every address of the machine, of a folder the present one.
    with pytest.raises(ConfigError, match=f"{name}: there is nothing in it"):
        load({name: ""}, {})


@pytest.mark.parametrize("name", ["port", "drain_seconds"])
def test_true_is_no_number(tmp_path, name):
    (tmp_path / "byoi-console.toml").write_text(f"{name} = true\nmetrics_public = true\n")
    with pytest.raises(ConfigError, match="true and false mean nothing here"):
        load({"data_dir": str(tmp_path)}, {})


@pytest.mark.parametrize("origin", ["http://x:99999", "https://[", "https://me:word@x"])
def test_an_origin_that_no_node_could_use_is_refused(origin):
    with pytest.raises(ConfigError, match="origin: "):
        load({"origin": origin}, {})


def test_a_file_as_editors_leave_it(tmp_path):
    file = tmp_path / "byoi-console.toml"
    file.write_bytes(b"\xef\xbb\xbfport = 1\r\n")
    assert load({"config": file}, {}).port == 1
    file.write_text("port = 1\n", encoding="utf-16")
    with pytest.raises(ConfigError, match="save it as UTF-8"):
        load({"config": file}, {})
    file.write_text("port = " + "[" * 20_000)
    with pytest.raises(ConfigError, match="too many brackets"):
        load({"config": file}, {})
