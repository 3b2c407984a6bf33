from __future__ import annotations

import os
import subprocess
import sys

import pytest

from byoi_agent.config.lock import StateInUse, StateLock
from byoi_agent.errors import ConfigError


def test_a_second_holder_is_refused_and_told_who_has_it(tmp_path):
    with StateLock(tmp_path / "lock"), pytest.raises(StateInUse, match=f"pid {os.getpid()}"):
        StateLock(tmp_path / "lock").__enter__()
    with StateLock(tmp_path / "lock"):
        pass


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
