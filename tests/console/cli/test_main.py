from __future__ import annotations

import sqlite3

import pytest
from sqlalchemy.exc import OperationalError

from byoi_console.cli import main
from byoi_console.errors import ConfigError, StateInUse


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (ConfigError("port: no"), 78, "byoi-console: port: no\n"),
        (StateInUse("pid 1 has it"), 1, "byoi-console: pid 1 has it\n"),
        (OSError(28, "No space left on device"), 1, "No space left on device\n"),
        (
            OperationalError("SELECT secret", {}, sqlite3.OperationalError("disk is full")),
            1,
            "byoi-console: the database cannot be used: disk is full\n",
        ),
    ],
)
def test_each_end_has_its_code_and_one_sentence(monkeypatch, capsys, error, code, words):
    def fail(**_):
        raise BaseExceptionGroup("tasks", [BaseExceptionGroup("room", [error])])

    monkeypatch.setattr(main, "cli", fail)
    with pytest.raises(SystemExit) as ended:
        main.main()
    told = capsys.readouterr().err
    assert ended.value.code == code
    assert told.endswith(words)
    assert told.count("\n") == 1


def test_a_fault_of_ours_comes_with_its_traceback(monkeypatch, capsys):
    monkeypatch.setattr(main, "cli", lambda **_: 1 / 0)
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == 70
    assert "ZeroDivisionError" in capsys.readouterr().err
