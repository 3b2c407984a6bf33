from __future__ import annotations

import json

from byoi_agent.cli import main


def test_help_alone_is_the_programs_own(byoi):
    code, out, _ = byoi("help")
    assert code == 0
    assert "Usage: byoi" in out
    assert "byoi help exit-codes" in out


def test_help_of_a_command_is_what_the_command_itself_shows(byoi):
    assert byoi("help", "version")[1] == byoi("version", "--help")[1]


def test_every_exit_code_is_explained_and_every_constant_is_one_of_them(byoi):
    _, out, _ = byoi("help", "exit-codes")
    told = {int(line.split()[0]) for line in out.splitlines()}
    constants = {
        value
        for name, value in vars(main).items()
        if name.startswith("EXIT_") and isinstance(value, int)
    }
    assert told == set(main.EXIT_CODES)
    assert told == {0} | constants


def test_an_unknown_topic_is_told_with_what_there_is(byoi):
    code, _, err = byoi("help", "nonsense")
    assert code == 64
    assert "exit-codes" in err


def test_what_a_command_prints_for_programs_is_a_schema(byoi):
    code, out, _ = byoi("help", "json", "models", "list")
    assert code == 0
    assert json.loads(out)["properties"].keys() == {"models", "unfinished"}
    assert "models list" in byoi("help", "json")[1].splitlines()
    code, _, err = byoi("help", "json", "tray")
    assert code == 64
    assert "byoi help json" in err
