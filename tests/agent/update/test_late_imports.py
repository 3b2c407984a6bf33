from __future__ import annotations

import importlib
import shutil
import sys

import pytest

from byoi_agent.update.late_imports import come_from

PACKAGE = "byoi_late_imports"


@pytest.fixture
def prefix(tmp_path, monkeypatch):
    """A package of which one part is imported at the beginning, the other one late."""
    made = tmp_path / "installed" / PACKAGE
    made.mkdir(parents=True)
    for name in ("__init__", "early", "late"):
        (made / f"{name}.py").write_text('VERSION = "1.0.0"\n')
    monkeypatch.setattr(sys, "path", [*sys.path, str(made.parent)])
    yield made.parent
    for name in [each for each in sys.modules if each.startswith(PACKAGE)]:
        del sys.modules[name]


def imported(name):
    return importlib.import_module(f"{PACKAGE}.{name}").VERSION


def replaced(prefix):
    shutil.rmtree(prefix / PACKAGE)
    (prefix / PACKAGE).mkdir()
    for name in ("__init__", "early", "late", "later"):
        (prefix / PACKAGE / f"{name}.py").write_text('VERSION = "1.1.0, which is longer"\n')


def test_after_the_files_were_replaced_the_rest_is_still_of_the_version_that_began(prefix):
    copy = prefix.with_name("keeper")
    assert imported("early") == "1.0.0"
    shutil.copytree(prefix, copy)
    before = list(sys.path)
    come_from(copy, prefix)
    replaced(prefix)
    assert imported("late") == "1.0.0"
    assert str(copy) in sys.path
    come_from(prefix, copy)
    assert sys.path == before
    assert imported("later") == "1.1.0, which is longer"


def test_without_it_they_would_be_mixed(prefix):
    assert imported("early") == "1.0.0"
    replaced(prefix)
    assert imported("late") == "1.1.0, which is longer"
