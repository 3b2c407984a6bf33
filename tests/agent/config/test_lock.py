from __future__ import annotations

import os
import subprocess
import sys
from pathlib import PureWindowsPath

import psutil
import pytest

from byoi_agent.config import lock
from byoi_agent.config.lock import StateInUse, StateLock
from byoi_agent.errors import ConfigError


def test_a_second_holder_is_refused_and_told_who_has_it(tmp_path):
    with StateLock(tmp_path / "lock"), pytest.raises(StateInUse, match=f"pid {os.getpid()}"):
        StateLock(tmp_path / "lock").__enter__()
    with StateLock(tmp_path / "lock"):
        pass


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["/x/python", "/opt/byoi/bin/byoi", "enroll", "--json"], " (byoi enroll)"),
        (["C:\\byoi\\byoi.exe", "run"], " (byoi run)"),
        (["/x/python", "-m", "something"], ""),
        ([], ""),
    ],
)
def test_the_command_of_the_holder_is_told_where_it_is_one_of_ours(
    tmp_path, monkeypatch, words, told
):
    monkeypatch.setattr(psutil.Process, "cmdline", lambda _: words)
    if words and "\\" in words[0]:
        monkeypatch.setattr(lock, "PurePath", PureWindowsPath)
    with StateLock(tmp_path / "lock"), pytest.raises(StateInUse) as refused:
        StateLock(tmp_path / "lock").__enter__()
    assert f"already running as pid {os.getpid()}{told} with the data folder" in str(refused.value)


def test_a_holder_that_cannot_be_looked_at_is_told_by_its_number(tmp_path, monkeypatch):
    def refuse(_):
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil.Process, "cmdline", refuse)
    with StateLock(tmp_path / "lock"), pytest.raises(StateInUse, match=f"{os.getpid()} with"):
        StateLock(tmp_path / "lock").__enter__()


def test_a_killed_holder_leaves_nothing_behind(tmp_path):
    program = (
        "import os, sys, pathlib\n"
        "from byoi_agent.config.lock import StateLock\n"
        "StateLock(pathlib.Path(sys.argv[1])).__enter__()\n"
        "os.kill(os.getpid(), 9)\n"
    )
    killed = subprocess.run([sys.executable, "-c", program, tmp_path / "lock"], check=False)
    assert killed.returncode == -9
    with StateLock(tmp_path / "lock"):
        pass


def test_a_planted_link_is_not_followed(tmp_path):
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError):
        StateLock(tmp_path / "lock").__enter__()
    assert not (tmp_path / "elsewhere").exists()
