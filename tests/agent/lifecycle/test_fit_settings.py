from __future__ import annotations

import subprocess
import sys

import pytest

from byoi_agent.config import migrations
from byoi_agent.config.check import problems_of
from byoi_agent.config.edit import set_value
from byoi_agent.config.loading import load
from byoi_agent.lifecycle import fit_settings

LATER = (
    migrations.Step("the first"),
    migrations.Step(
        "as if these were new", added=frozenset({"slots"}), moved={"tokens": "context_tokens"}
    ),
)
TEXT = "# mine\nslots = 3  # of my own\n\ncontext_tokens = 512\n"


@pytest.fixture
def file(tmp_path):
    made = tmp_path / "config.toml"
    made.write_text(TEXT)
    return made


@pytest.fixture
def later(monkeypatch):
    """A version that knows more than the first one."""
    for name in ("for_newer", "for_older", "understood"):
        monkeypatch.setattr(getattr(migrations, name), "__defaults__", (LATER,))
    monkeypatch.setattr(fit_settings, "STEPS", LATER)
    monkeypatch.setattr(fit_settings.fit, "__defaults__", (2,))


@pytest.mark.usefixtures("later")
def test_an_older_version_finds_a_file_that_it_knows_and_the_newer_one_the_same_as_before(file):
    assert fit_settings.main([str(file), "1"]) == 0
    assert file.read_text() == (
        "# mine\n#[settings 2] slots = 3  # of my own\n\n"
        "tokens = 512  #[until settings 2]\n#[settings 2] context_tokens = 512\n"
    )
    assert problems_of(file) == ()
    values = load({}, {}, file).values
    assert (values.slots, values.context_tokens) == (3, 512)
    assert fit_settings.main([str(file)]) == 0
    assert file.read_text() == TEXT


@pytest.mark.usefixtures("later")
def test_the_owners_change_meanwhile_counts_whichever_version_wrote_it(file):
    fit_settings.fit(file, 1)
    set_value(file, "context_tokens", 256)
    assert file.read_text() == TEXT.replace("512", "256")
    file.write_text("tokens = 128  # by its former name\n")
    set_value(file, "slots", 2)
    assert load({}, {}, file).values.context_tokens == 128
    assert "# by its former name" in file.read_text()


@pytest.mark.usefixtures("later")
def test_a_setting_by_both_its_names_is_told(file, capsys):
    file.write_text("tokens = 1\ncontext_tokens = 512\n")
    assert fit_settings.main([str(file), "1"]) == 1
    assert "'tokens' is called 'context_tokens' now" in capsys.readouterr().err


def test_a_file_that_nothing_is_to_be_done_about_is_not_written(file):
    before = file.stat()
    fit_settings.fit(file, 1)
    assert file.stat().st_mtime_ns == before.st_mtime_ns
    assert file.stat().st_ino == before.st_ino


def test_a_file_that_is_no_toml_stays_and_the_updater_hears_why(file):
    file.write_text("slots = \n")
    done = subprocess.run(
        [sys.executable, "-m", "byoi_agent.lifecycle.fit_settings", file, "1"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert f"{file} is not valid TOML" in done.stderr
    assert file.read_text() == "slots = \n"


def test_a_folder_that_cannot_be_written_is_told(file, capsys, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    file.write_text("#[settings 1] slots = 3\n")
    monkeypatch.setattr(fit_settings, "rewrite", full)
    assert fit_settings.main([str(file)]) == 1
    assert "No space left" in capsys.readouterr().err
