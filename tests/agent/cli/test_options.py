from __future__ import annotations

from pathlib import Path

import click
import pytest

from byoi_agent.cli.options import choose
from byoi_agent.cli.run import run
from byoi_agent.config.settings import SECRETS, TABLES, Settings, flag_of


def test_flags_of_run_have_the_settings_names_and_kinds():
    flags = {option.name: option for option in run.params}
    for name in set(flags) & set(Settings.model_fields):
        assert flag_of(name) in flags[name].opts
    assert isinstance(flags["log_format"].type, click.Choice)
    assert isinstance(flags["data_dir"].type, click.Path)


@pytest.mark.parametrize("name", sorted(set(Settings.model_fields) - SECRETS - TABLES))
def test_every_setting_but_secrets_and_tables_has_a_flag_of_run(name):
    assert name in {option.name for option in run.params}


def test_a_secret_setting_has_no_flag_that_ps_would_show():
    assert "engine_api_key" not in {option.name for option in run.params}


def test_the_data_folder_holds_the_configuration(tmp_path, monkeypatch):
    (tmp_path / "config.toml").write_text("slots = 3")
    monkeypatch.setenv("BYOI_DATA_DIR", str(tmp_path))
    chosen = choose({"slots": None})
    assert chosen.settings.slots == 3
    assert chosen.paths.state == tmp_path
    assert chosen.is_data_dir_named


def test_nothing_named_means_the_users_own_folders():
    chosen = choose({})
    assert not chosen.is_data_dir_named
    assert Path.home() in chosen.paths.state.parents


def test_a_stray_variable_is_told_once(monkeypatch, capsys):
    monkeypatch.setenv("BYOI_SLOT", "3")
    choose({})
    assert "did you mean 'BYOI_SLOTS'" in capsys.readouterr().err
