from __future__ import annotations

import functools
import json
import logging
import os

import jsonschema
import pytest

from byoi_agent.cli import main
from byoi_agent.cli.outputs import OUTPUTS, schema_of


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


@functools.cache
def output_schema(words):
    return jsonschema.Draft202012Validator(schema_of(words))


def check_output(words, out):
    """What a program reads must be as it is documented, in whatever test it is printed."""
    plain = [word for word in words if not word.startswith("-")]
    named = (" ".join(plain[:count]) for count in (2, 1))
    schema = output_schema(next(name for name in named if name in OUTPUTS))
    try:
        told = [json.loads(out)]
    except ValueError:
        told = [json.loads(line) for line in out.splitlines()]
    for one in told:
        several = one.get("nodes", one.get("dashboards")) if isinstance(one, dict) else None
        is_several = isinstance(several, list) and len(one) == 1
        for each in several if is_several else [one]:
            schema.validate(each)


@pytest.fixture
def byoi(capsys):
    """One command line: exit code, standard output, standard error."""

    def run(*arguments):
        words = list(map(str, arguments))
        code = main.run(words)
        out, err = capsys.readouterr()
        if "--json" in words and code == 0 and out:
            check_output(words, out)
        return code, out, err

    return run
