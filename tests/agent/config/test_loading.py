from __future__ import annotations

import pytest

from byoi_agent.config.loading import load
from byoi_agent.errors import ConfigError


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / "config.toml"
        path.write_text(text)
        return path

    return write


@pytest.mark.parametrize(
    ("flags", "environment", "toml", "value", "source"),
    [
        ({"drain_seconds": 1}, {"BYOI_DRAIN_SECONDS": "2"}, "drain_seconds = 3", 1, "flag"),
        (
            {"drain_seconds": None},
            {"BYOI_DRAIN_SECONDS": "2"},
            "drain_seconds = 3",
            2,
            "environment",
        ),
        ({}, {"BYOI_DRAIN_SECONDS": ""}, "drain_seconds = 3", 3, "file"),
        ({}, {"BYOI_DRAIN_SECONDS": " \r\n"}, "drain_seconds = 3", 3, "file"),
        ({}, {}, "", 30, "default"),
    ],
)
def test_each_value_comes_from_the_highest_source_and_says_which(
    file, flags, environment, toml, value, source
):
    loaded = load(flags, environment, file(toml))
    assert loaded.values.drain_seconds == value
    assert loaded.sources["drain_seconds"] == source


def test_the_line_end_of_a_secrets_file_is_no_part_of_a_variable():
    told = {"BYOI_CONSOLE": "https://c.example\n", "BYOI_ENGINE_API_KEY": "key\r\n"}
    found = load({}, told, None).values
    assert (found.console, found.engine_api_key) == ("https://c.example", "key")
    with pytest.raises(ConfigError, match="nobody can see"):
        load({}, {"BYOI_CONSOLE": "https://c.\nexample"}, None)


def test_an_unknown_key_in_the_file_is_refused_with_the_nearest_name(file):
    with pytest.raises(ConfigError, match="did you mean 'drain_seconds'"):
        load({}, {}, file("drain_second = 3"))


def test_an_unknown_variable_is_told_with_the_nearest_name():
    loaded = load({}, {"BYOI_ENGIN": "x", "BYOI_JOIN_TOKEN": "t", "OTHER": "y"}, None)
    assert loaded.strays == (
        "the variable BYOI_ENGIN means nothing here; did you mean 'BYOI_ENGINE'?",
    )


def test_the_consoles_own_variables_are_not_ours_to_judge():
    assert load({}, {"BYOI_CONSOLE_PORT": "8700"}, None).strays == ()


@pytest.mark.parametrize(
    ("flags", "environment", "toml", "words"),
    [
        ({"slots": 0}, {}, "", "flag --slots"),
        ({}, {"BYOI_SLOTS": "many"}, "", "variable BYOI_SLOTS"),
        ({}, {}, "slots = -1", "'slots' in"),
        ({}, {}, "slots = ", "not valid TOML"),
        ({"engine": "vllm@new"}, {}, "", "use llamacpp, vllm, vllm@VERSION, or a URL"),
        ({"engine": "olama"}, {}, "", "unknown engine"),
        ({"engine": "http://"}, {}, "", "unknown engine"),
        ({"engine": "http://[::1"}, {}, "", "unknown engine"),
        ({"engine": "http://box:99999"}, {}, "", "unknown engine"),
        ({"engine": "unix:box"}, {}, "", "unknown engine"),
    ],
)
def test_a_wrong_value_is_refused_in_a_sentence_that_names_its_place(
    file, flags, environment, toml, words
):
    with pytest.raises(ConfigError, match=words) as caught:
        load(flags, environment, file(toml))
    assert "\n" not in str(caught.value)


def test_a_missing_file_that_was_named_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        load({}, {}, tmp_path / "none.toml")


@pytest.mark.parametrize("name", ["data_dir", "console", "model", "log_file"])
def test_nothing_is_no_value_and_no_folder_either(name, file):
    with pytest.raises(ConfigError, match="there is nothing in it"):
        load({name: ""}, {}, None)
    with pytest.raises(ConfigError, match="there is nothing in it"):
        load({}, {}, file(f'{name} = ""\n'))
