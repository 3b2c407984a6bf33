from __future__ import annotations

import logging
import os

import pytest

from byoi_agent.cli import main


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """No setting, node or demo of this machine is seen."""
    for name in list(os.environ):
        if name.startswith("BYOI_") or name.endswith("_DIRECTORY"):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "run").mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setattr("byoi_agent.config.paths._is_short", lambda _: True)
    monkeypatch.setattr(
        "byoi_agent.control.instances.system_control_socket", lambda: tmp_path / "none.sock"
    )


@pytest.fixture(autouse=True)
def logging_as_before():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def byoi(capsys):
    """One command line: exit code, standard output, standard error."""

    def run(*arguments):
        code = main.run(list(map(str, arguments)))
        out, err = capsys.readouterr()
        return code, out, err

    return run
