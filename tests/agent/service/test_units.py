"""The units that are shipped, judged by systemd's own tools, and what is put into them."""

from __future__ import annotations

import configparser
import itertools
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from byoi_agent.errors import ConfigError
from byoi_agent.service.units import (
    AGENT,
    quoted,
    session_unit,
    shipped,
    system_units,
    user_path,
    user_unit,
    user_updates,
    version_of,
)

FOLDER = Path(__file__).resolve().parents[3] / "systemd"
PROGRAM = Path("/bin/true")
EXPOSURE = 1.9
RELAXED = {
    "PrivateUsers": "no",
    "PrivateDevices": "no",
    "ProtectProc": "default",
    "ProcSubset": "all",
    "MemoryDenyWriteExecute": "no",
    "PrivateNetwork": "no",
}


@pytest.fixture
def analyze():
    if (found := shutil.which("systemd-analyze")) is None:
        pytest.skip("needs systemd-analyze: apt install systemd")

    def run(*words, **env):
        done = subprocess.run(
            [found, *map(str, words)], capture_output=True, text=True, check=False, env=env
        )
        return done.returncode, done.stdout + done.stderr

    return run


def written(folder, units):
    for name, text in units.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return [folder / name for name in units if "/" not in name]


def test_systemd_has_nothing_to_say_against_the_units(analyze, tmp_path):
    system = written(tmp_path / "system", system_units(PROGRAM, version=252))
    assert analyze("verify", "--man=no", *system) == (0, "")
    units = {
        AGENT: user_unit(PROGRAM, Path("/home/jo/.local/state/byoi/identity.json"), None),
        "byoi-agent.path": user_path(Path("/home/jo/.local/state/byoi/identity.json")),
        "byoi-session.service": session_unit(PROGRAM),
        **user_updates(PROGRAM, Path("/home/jo/.local/share/byoi/my $app/update")),
    }
    user = written(tmp_path / "user", units)
    said = analyze("verify", "--man=no", "--user", *user, XDG_RUNTIME_DIR=str(tmp_path))
    assert said == (0, "")


def test_the_node_is_as_closed_as_was_promised(analyze, tmp_path):
    (unit,) = written(tmp_path, {AGENT: shipped(AGENT)})
    _, said = analyze("security", "--offline=true", "--no-pager", unit)
    exposure = float(re.search(r"Overall exposure level for \S+: ([\d.]+)", said)[1])
    assert exposure <= EXPOSURE, said


@pytest.mark.parametrize("name", [AGENT, "byoi-enroll.service"])
def test_each_line_that_leaves_a_protection_out_says_why(name):
    lines = shipped(name).splitlines()
    for number, line in enumerate(lines):
        directive, _, value = line.partition("=")
        opens = RELAXED.get(directive) == value
        if not opens and directive not in {"SystemCallFilter", "RestrictAddressFamilies"}:
            continue
        if not opens and (name != AGENT or value.startswith("~")):
            continue
        comments = itertools.takewhile(lambda one: one.startswith("#"), reversed(lines[:number]))
        assert f"relaxed {directive}" in " ".join(comments), f"{name}: {line} says no reason"


def test_what_is_relaxed_and_said_is_relaxed_in_fact():
    unit = configparser.RawConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    unit.read_string(shipped(AGENT))
    for directive, value in RELAXED.items():
        assert unit["Service"][directive] == value


def test_the_folder_at_the_top_is_the_one_that_is_shipped():
    assert (FOLDER / AGENT).read_text() == shipped(AGENT)


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.glob("*.service")))
def test_each_unit_runs_the_program_that_is_installed(name):
    program = Path("/opt/my byoi/50%/bin/byoi")
    rendered = system_units(program, version=254)[name]
    assert "/usr/bin/byoi" not in rendered
    assert '"/opt/my byoi/50%%/bin/byoi" ' in rendered


@pytest.mark.parametrize("is_being_tried", [False, True])
def test_a_users_update_runs_the_version_before_while_another_is_being_tried(
    tmp_path, is_being_tried
):
    """The unit's line as systemd takes it apart: words in quotes, `$$` for `$`, `%%` for `%`."""
    folder, program = tmp_path / "my $HOME 5%", tmp_path / "byoi"
    (folder / "keeper/bin").mkdir(parents=True)
    for name, file in (("installed", program), ("kept", folder / "keeper/bin/python")):
        if name == "installed" or is_being_tried:
            file.write_text(f"#!/bin/sh\necho {name} $*\n")
            file.chmod(0o755)
    line = re.search("(?m)^ExecStart=(.*)$", user_updates(program, folder)["byoi-update.service"])
    words = shlex.split(line[1].replace("$$", "$").replace("%%", "%").replace("\\\\", "\\"))
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    if is_being_tried:
        assert said == "kept -m byoi_agent.cli.main update --unattended\n"
    else:
        assert said == "installed update --unattended\n"


def test_steps_of_restarts_are_only_for_who_knows_them():
    name = "byoi-agent.service.d/restart-steps.conf"
    assert name not in system_units(PROGRAM, version=253)
    assert "RestartSteps" in system_units(PROGRAM, version=254)[name]


def test_a_user_names_the_data_folder(tmp_path):
    text = user_unit(Path("/b/byoi"), Path("/d d/identity.json"), Path("/d d"))
    assert 'ExecStart=/b/byoi run --data-dir "/d d"\n' in text
    assert "ConditionPathExists=/d d/identity.json\n" in text


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("/opt/byoi/bin/byoi", "/opt/byoi/bin/byoi"),
        ("/a b", '"/a b"'),
        ("/a$b%c", "/a$$b%%c"),
        ('/a"b\\', '"/a\\"b\\\\"'),
    ],
)
def test_a_path_is_one_word_of_a_unit(path, word):
    assert quoted(Path(path)) == word


def test_a_path_that_no_unit_can_hold_is_refused():
    with pytest.raises(ConfigError, match="line breaks"):
        quoted(Path("/a\nUser=root"))


def test_the_version_is_read_from_what_systemctl_says():
    assert version_of("systemd 252 (252.39-1~deb12u2)\n+PAM …") == 252
    assert version_of("") == 0
