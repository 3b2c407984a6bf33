"""What the setup for Windows is built from; that it installs is test_windows.py's."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WINDOWS = ROOT / "installers" / "windows"
SCRIPTS = "\n".join(path.read_text() for path in sorted(WINDOWS.glob("*.ns[ih]")))
GUIDE = (ROOT / "docs" / "provider-guide.md").read_text()


def _module(name):
    spec = importlib.util.spec_from_file_location(f"windows_{name}", WINDOWS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def build():
    sys.path.insert(0, str(ROOT / "installers"))
    return _module("build")


@pytest.fixture(scope="module")
def place():
    return _module("place")


@pytest.mark.parametrize(
    ("version", "quad"),
    [
        ("0.1.0", "0.1.0.0"),
        ("1.2", "1.2.0.0"),
        ("1.2.0rc1", "1.2.0.0"),
        ("1.2.3.4.5", "1.2.3.4"),
        ("1.70000.0+local.7", "1.65535.0.0"),
    ],
)
def test_a_version_becomes_the_four_numbers_of_windows(build, version, quad):
    assert build.quad(version) == quad


def test_an_installed_version_knows_its_places(place, tmp_path):
    release = tmp_path / "release"
    release.mkdir()
    (release / "release.json").write_text('{"version": "0.2.0", "index": "https://index.example"}')
    (release / "root.json").write_text("{}")
    prefix = tmp_path / "prefix"
    prefix.mkdir()
    place.place(prefix, r"C:\Program Files\byoi", r"C:\ProgramData\byoi", release)

    written = json.loads((prefix / "installation.json").read_text())
    assert written == {
        "kind": "windows",
        "version": "0.2.0",
        "index": "https://index.example",
        "root": r"C:\Program Files\byoi",
        "service": {
            "account": r"NT SERVICE\byoi",
            "state": r"C:\ProgramData\byoi\state",
            "cache": r"C:\ProgramData\byoi\cache",
            "runtime": r"C:\ProgramData\byoi\run",
            "config": r"C:\ProgramData\byoi\config.toml",
        },
    }
    assert (prefix / "root.json").exists()


def test_the_agent_reads_what_the_setup_writes(place):
    from byoi_agent.config.installation import Installation

    written = place.installation({"version": "0.2.0"}, r"C:\p", r"C:\d")
    assert Installation.model_validate(written).kind == "windows"


@pytest.mark.parametrize(
    ("program", "is_below"),
    [
        (r"C:\Program Files\byoi\bin\byoi.exe", True),
        (r"c:\PROGRAM FILES\BYOI\python\python.exe", True),
        (r"C:\Program Files\byoi-other\byoi.exe", False),
        (r"C:\Windows\explorer.exe", False),
        (None, False),
    ],
)
def test_only_programs_of_the_tree_are_ended(place, program, is_below):
    assert place.is_below(program, Path(r"C:\Program Files\byoi")) is is_below


def test_uv_comes_out_of_its_own_wheel_and_without_one_nothing_is_built(
    build, tmp_path, monkeypatch
):
    monkeypatch.setattr(build, "LAUNCHERS", {})
    (tmp_path / "wheels").mkdir()
    wheel = tmp_path / "wheels" / "uv-1.0-py3-none-win_amd64.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("uv-1.0.data/scripts/uv.exe", "the program")
        archive.writestr("uv-1.0.data/scripts/uvx.exe", "another")
    build.complete(tmp_path)
    assert (tmp_path / "uv.exe").read_text() == "the program"
    assert (tmp_path / "place.py").exists()


def test_without_the_tools_the_build_says_what_to_install(build, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(build.MissingToolError, match="apt install nsis"):
        build.build(tmp_path, payload=tmp_path)


def test_every_option_and_exit_code_of_the_setup_is_in_the_guide():
    options = set(re.findall(r"\"(/[A-Z]{3,})=?\"", SCRIPTS)) - {"/NCRC"}
    assert {"/CONSOLE", "/JOINTOKENFILE", "/PURGE", "/NOPROVE"} <= options
    codes = re.findall(r"!define EXIT_\w+ (\d+)", SCRIPTS)
    missing = [option for option in options if f"`{option}" not in GUIDE]
    missing += [code for code in codes if not re.search(rf"\| {code} \|", GUIDE)]
    assert not missing


def test_every_parameter_of_the_script_says_what_it_is_for():
    script = (WINDOWS / "install.ps1").read_text()
    declared = script.partition("\nparam(")[2].partition("\n)\n")[0]
    names = set(re.findall(r"\] \$(\w+)", declared))
    explained = set(re.findall(r"^\.PARAMETER (\w+)$", script, re.MULTILINE))
    assert explained == names | {"WhatIf"}
    assert script.isascii()  # Windows PowerShell reads a file without a mark as the old code page
