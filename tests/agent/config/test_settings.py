from __future__ import annotations

import pytest
from pydantic import ValidationError

from byoi_agent.config.loading import load
from byoi_agent.config.settings import PRECEDENCE, Settings, flag_of, variable_of
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
