"""What a package is built with of its index of updates; what is slow of a build is left out."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from pathlib import Path

import pytest

BUILDER = Path(__file__).parents[2] / "installers" / "ubuntu" / "build.py"
INDEX = "https://releases.example/index"


@pytest.fixture
def built(tmp_path, monkeypatch):
    """What lies in /usr/lib/byoi-agent of a package that the command line asks for."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    spec = importlib.util.spec_from_file_location("for_trust_build", BUILDER)
    builder = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(builder)

    def make_environment(prefix: Path, **_: object) -> None:
        (prefix / "bin").mkdir(parents=True)

    monkeypatch.setattr(builder, "make_environment", make_environment)
    monkeypatch.setattr(builder, "_add_for_people", lambda *_: None)
    monkeypatch.setattr(builder, "_pack", shutil.copytree)

    def built(*words: object) -> Path:
        order = [str(BUILDER), "--out", str(tmp_path / "out"), *map(str, words)]
        monkeypatch.setattr(sys, "argv", order)
        builder.main()
        (package,) = (tmp_path / "out").iterdir()
        return package / builder.PREFIX

    return built


def test_a_package_names_the_index_that_it_was_built_for_and_whom_it_trusts(built, tmp_path):
    root = tmp_path / "1.root.json"
    root.write_bytes(b'{"signed": {}}')
    root.chmod(0o600)
    home = built("--index", INDEX, "--root", root)
    assert json.loads((home / "installation.json").read_text())["index"] == INDEX
    assert (home / "root.json").read_bytes() == root.read_bytes()
    assert (home / "root.json").stat().st_mode & 0o777 == 0o644  # each account's updater reads it


def test_without_an_index_a_package_names_none(built):
    home = built()
    assert json.loads((home / "installation.json").read_text())["index"] is None
    assert not (home / "root.json").exists()
