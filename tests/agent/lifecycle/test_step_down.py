from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing

from byoi_agent.config.lock import StateLock
from byoi_agent.config.paths import outbox_file
from byoi_agent.lifecycle.state_schema import bring_up, number_of
from byoi_agent.lifecycle.step_down import main
from byoi_agent.usage import schema


def test_an_updater_takes_the_state_back_by_a_program(tmp_path):
    with closing(sqlite3.connect(outbox_file(tmp_path), isolation_level=None)) as database:
        schema.migrate(database)
    bring_up(tmp_path)
    words = [sys.executable, "-m", "byoi_agent.lifecycle.step_down", str(tmp_path), "1"]
    subprocess.run(words, check=True)
    assert number_of(tmp_path) == 1


def test_nothing_is_taken_back_below_a_running_node(tmp_path, capsys):
    bring_up(tmp_path)
    with StateLock(tmp_path / "byoi.lock"):
        assert main([str(tmp_path), "1"]) == 1
    assert "already running" in capsys.readouterr().err
