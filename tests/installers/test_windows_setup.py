"""What the setup for Windows is built from; that it installs is test_windows.py's."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
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


PARSE = """
import pathlib, sys, tree_sitter, tree_sitter_powershell
parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_powershell.language()))
sys.exit(parser.parse(pathlib.Path(sys.argv[1]).read_bytes()).root_node.has_error)
"""
PARSERS = ("--with", "tree-sitter==0.26.1", "--with", "tree-sitter-powershell==0.26.4")


@pytest.mark.installer
@pytest.mark.parametrize(("damage", "is_refused"), [("", 0), ("\nif (1 -eq {", 1)])
def test_the_script_is_powershell_by_its_grammar(tmp_path, damage, is_refused):
    script = tmp_path / "install.ps1"
    script.write_text((WINDOWS / "install.ps1").read_text() + damage)
    done = subprocess.run(
        [
            *(ROOT / ".ci" / "uv", "run", "--quiet", "--no-project", "--isolated", *PARSERS),
            *("python", "-c", PARSE, script),
        ],
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == is_refused


@pytest.fixture(scope="module")
def twice(build, tmp_path_factory):
    """The same setup, with next to nothing in it, built two times."""
    for program, package in (("makensis", "nsis"), ("x86_64-w64-mingw32-gcc", "gcc-mingw-w64")):
        if shutil.which(program) is None:
            pytest.skip(f"needs {program}: apt install {package}")
    folder = tmp_path_factory.mktemp("setups")
    release = folder / "release"
    (release / "wheels").mkdir(parents=True)
    with zipfile.ZipFile(release / "wheels" / "uv-1.0-py3-none-win_amd64.whl", "w") as archive:
        archive.writestr("uv-1.0.data/scripts/uv.exe", "the program")
    return [
        build.build(folder / name, payload=release, version="0.1.0") for name in ("once", "again")
    ]


@pytest.mark.installer
def test_the_same_source_gives_the_same_setup(twice):
    once, again = (setup.read_bytes() for setup in twice)
    assert once == again
    assert once.startswith(b"MZ")


@pytest.mark.installer
def test_a_setup_is_signed_with_the_certificate_that_is_given(build, twice, tmp_path):
    if shutil.which("osslsigncode") is None:
        pytest.skip("needs osslsigncode: apt install osslsigncode")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=byoi"),
            *("-addext", "extendedKeyUsage=codeSigning", "-keyout", key, "-out", certificate),
        ],
        capture_output=True,
        check=True,
    )
    setup = Path(shutil.copy(twice[0], tmp_path))
    build.sign(setup, certificate, key)
    verify = ["osslsigncode", "verify", "-CAfile", certificate, "-in"]
    assert subprocess.run([*verify, setup], capture_output=True, check=False).returncode == 0
    changed = bytearray(setup.read_bytes())
    changed[20000] ^= 1
    setup.write_bytes(changed)
    assert subprocess.run([*verify, setup], capture_output=True, check=False).returncode
