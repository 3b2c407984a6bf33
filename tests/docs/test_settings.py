"""A setting of the node has the same name everywhere: field, flag, variable, and its row."""

from __future__ import annotations

import re

import click
import pytest

from byoi_agent.cli import run
from byoi_agent.config.loading import load
from byoi_agent.config.settings import LIVE, SECRETS, TABLES, Settings, flag_of, variable_of

ROW = re.compile(r"^\| `(\w+)`( ↻)? \| (none|`[^`]+`) \| (none|`\w+`) \|", re.MULTILINE)


@pytest.fixture(scope="module")
def rows(docs):
    text = (docs / "reference" / "configuration.md").read_text()
    (block,) = re.findall(r"<!-- begin settings of byoi -->(.*?)<!-- end", text, re.DOTALL)
    return {
        name: (mark, flag.strip("`"), variable.strip("`"))
        for name, mark, flag, variable in ROW.findall(block)
    }


def test_each_setting_has_its_row_and_each_row_its_setting(rows):
    assert list(rows) == list(Settings.model_fields)


@pytest.mark.parametrize("name", Settings.model_fields)
def test_a_row_says_what_the_program_takes(rows, name):
    mark, flag, variable = rows[name]
    assert bool(mark) == (name in LIVE)
    assert variable_of(name) == f"BYOI_{name.upper()}"
    assert variable == ("none" if name in TABLES else variable_of(name))
    assert flag == ("none" if name in SECRETS | TABLES else flag_of(name))


def test_byoi_run_takes_every_setting_as_a_flag_but_secrets_and_tables():
    taken = {
        option.name: option.opts for option in run.run.params if isinstance(option, click.Option)
    }
    settings = {name: opts for name, opts in taken.items() if name in Settings.model_fields}
    assert set(settings) == set(Settings.model_fields) - SECRETS - TABLES
    assert all(opts == [flag_of(name)] for name, opts in settings.items())


@pytest.mark.parametrize("name", sorted(set(Settings.model_fields) - TABLES))
def test_its_variable_is_heeded(name):
    address = "http://127.0.0.1:1"
    value = {"engine": address, "console": address, "hub": address, "context_tokens": "4096"}.get(
        name, "1"
    )
    field = Settings.model_json_schema()["properties"][name]
    choices = field.get("enum") or field.get("anyOf", [{}])[0].get("enum")
    loaded = load({}, {variable_of(name): choices[-1] if choices else value}, None)
    assert loaded.sources[name] == "environment"
