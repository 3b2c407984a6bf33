from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from byoi_agent.cli.main import COMMANDS


@pytest.fixture
def asked(byoi, monkeypatch):
    """What a shell is offered for a line."""

    def ask(line, word="", shell="powershell"):
        monkeypatch.setenv("_BYOI_COMPLETE", f"{shell}_complete")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_WORD", word)
        monkeypatch.setenv("COMP_CWORD", str(len(line.split()) - bool(word)))
        code, out, err = byoi()
        assert (code, err) == (0, "")
        return out.splitlines()

    return ask


def test_commands_options_choices_and_commands_of_commands(asked):
    assert asked("byoi ") == list(COMMANDS)
    assert asked("byoi mo", "mo") == ["mode", "models"]
    assert [line.split("\t")[0] for line in asked("byoi models pu", "pu")] == ["pull"]
    assert [line.split("\t")[0] for line in asked("byoi mode dedi", "dedi")] == ["dedicated"]
    assert any(line.startswith("--watch") for line in asked("byoi status --w", "--w"))
    assert any(line.startswith("--debug") for line in asked("byoi --", "--"))
    assert asked("byoi nonsense x", "x") == [""]


def test_settings_are_completed_by_their_names_where_one_can_be_changed(asked):
    def names(word, command="set"):
        told = asked(f"byoi config {command} {word}", word)
        return [line.split("\t")[0] for line in told if line]

    assert "idle.after_minutes" in names("idle.")
    assert all(name.startswith("idle.") for name in names("idle."))
    assert names("slo", "unset") == ["slots"]
    assert names("engine_api") == []


def test_bash_completes_a_command_with_the_script(byoi, tmp_path):
    code, script, _ = byoi("completion", "bash")
    assert code == 0
    (tmp_path / "byoi.bash").write_text(script)
    typed = (
        f"PATH={Path(sys.executable).parent}:$PATH; source {tmp_path}/byoi.bash; "
        "COMP_WORDS=(byoi mo); COMP_CWORD=1; _byoi_completion byoi; echo ${COMPREPLY[@]}"
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", typed], capture_output=True, text=True, check=True, timeout=90
    )
    assert (done.stdout.split(), done.stderr) == (["mode", "models"], "")


@pytest.mark.parametrize("shell", ["zsh", "fish", "powershell"])
def test_each_other_shell_gets_a_script_of_its_own(byoi, shell):
    code, script, _ = byoi("completion", shell)
    assert code == 0
    assert f"{shell}_complete" in script


def test_the_shell_in_use_is_meant_where_none_is_named(byoi, monkeypatch):
    monkeypatch.setenv("SHELL", "/usr/bin/fish")
    assert "fish_complete" in byoi("completion")[1]
    monkeypatch.setenv("SHELL", "/bin/tcsh")
    code, _, err = byoi("completion")
    assert code == 64
    assert "name the shell" in err
