from __future__ import annotations

import pytest
from pydantic import ValidationError

from byoi_agent.config.loading import load
from byoi_agent.config.settings import PRECEDENCE, Settings, flag_of, shown, variable_of
from byoi_agent.errors import ConfigError


def test_the_precedence_is_flag_environment_file_default():
    assert PRECEDENCE == ("flag", "environment", "file", "default")


def test_every_setting_has_a_source_a_description_a_flag_and_a_variable():
    loaded = load({}, {}, None)
    assert set(loaded.sources) == set(Settings.model_fields)
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert flag_of(name).startswith("--")
        assert variable_of(name) == f"BYOI_{name.upper()}"


@pytest.mark.parametrize("engine", ["llamacpp", "http://127.0.0.1:1/v1", "https://x", "unix:///s"])
def test_a_known_engine_or_a_url_is_taken(engine):
    assert load({"engine": engine}, {}, None).values.engine == engine


def test_settings_cannot_be_changed_and_do_not_show_the_engines_key():
    settings = load({}, {"BYOI_ENGINE_API_KEY": "very-secret"}, None).values
    with pytest.raises(ValidationError):
        settings.slots = 3
    assert "very-secret" not in repr(settings)


@pytest.mark.parametrize("url", ["x", "ftp://x", "http://", "https://[", "https://x:99999"])
def test_a_console_without_an_address_is_refused_already_here(url):
    with pytest.raises(ConfigError, match="is no console address; it looks like https://"):
        load({"console": url}, {}, None)


@pytest.mark.parametrize(
    "name",
    [
        *("console", "engine_api_key", "model", "vllm_python", "local_key_file", "ca_file"),
        *("data_dir", "cache_dir", "runtime_dir", "log_file"),
    ],
)
@pytest.mark.parametrize("letter", ["\0", "\n", "\x1b", "\x7f"])
def test_what_no_path_no_name_and_no_address_has_is_refused_before_anybody_opens_it(name, letter):
    value = f"https://x/{letter}x" if name == "console" else f"/tmp/{letter}x"
    with pytest.raises(ConfigError, match="a character that nobody can see") as told:
        load({name: value}, {}, None)
    assert str(told.value).isprintable()
    assert "/tmp" not in str(told.value)  # it may be a key


@pytest.mark.parametrize(
    "table",
    [
        '[schedule.price]\nsource = "/tmp/\\u0000x"\nat_most = 1',
        '[update]\nindex = "/srv/\\u0000x"',
        '[[models]]\nmodel = "/srv/\\u0000x"',
        '[[models]]\nmodel = "m"\nadapters = [{name = "a", path = "/srv/\\u0000x"}]',
        '[idle]\nprograms = ["game", "steam\\u0000"]',
    ],
)
def test_the_same_in_tables_of_the_file(table, tmp_path):
    file = tmp_path / "byoi.toml"
    file.write_text(table)
    with pytest.raises(ConfigError, match="a character that nobody can see"):
        load({}, {}, file)


def test_letters_of_any_language_are_fine_in_a_path():
    assert load({"data_dir": "/home/zoë/Mes\u00a0données"}, {}, None).values.data_dir


def test_what_lets_somebody_in_is_shown_of_no_setting_also_within_a_table():
    feed = "https://jo:hunter2@prices.example/v1?securityToken=TOPSECRET1"
    settings = Settings(
        engine="http://jo:hunter2@127.0.0.1:1/v1?key=TOPSECRET1",
        schedule={"price": {"source": feed, "at_most": 1}},
        update={"index": "https://jo:hunter2@updates.example/v1"},
    )
    told = {name: shown(name, getattr(settings, name)) for name in Settings.model_fields}
    assert "hunter2" not in str(told)
    assert "TOPSECRET1" not in str(told)
    assert told["schedule"]["price"]["source"] == "https://[hidden]@prices.example/v1?…"
