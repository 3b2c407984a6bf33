"""The formula for Homebrew, as far as it can be judged without a Mac."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

import pytest

BUILD = Path(__file__).resolve().parents[2] / "installers" / "macos" / "build.py"
URL = "https://get.example/byoi"
ARM = {"macos-arm64": "a" * 64}


@pytest.fixture(scope="module")
def builder():
    spec = importlib.util.spec_from_file_location("macos_build", BUILD)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("hashes", [ARM, {**ARM, "macos-x86_64": "b" * 64}], ids=["arm", "both"])
def test_the_formula_is_ruby_and_nothing_in_it_is_left_to_fill(builder, hashes, tmp_path):
    text = builder.formula(hashes, URL)
    assert not re.search(r"@[A-Z]+@", text)
    if (ruby := shutil.which("ruby")) is None:
        pytest.skip("needs ruby: apt install ruby")
    (tmp_path / "byoi.rb").write_text(text)
    done = subprocess.run(
        [ruby, "-c", tmp_path / "byoi.rb"], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "Syntax OK", done.stderr


def test_each_chip_gets_its_bundle_with_its_hash(builder):
    text = builder.formula({**ARM, "macos-x86_64": "b" * 64}, URL)
    found = dict(re.findall(r'url "(\S+)"\n\s+sha256 "(\w+)"', text))
    name = f"{URL}/byoi-agent-{builder.wheels.version()}"
    assert found == {
        f"{name}-macos-arm64.tar.gz": "a" * 64,
        f"{name}-macos-x86_64.tar.gz": "b" * 64,
    }
    assert "depends_on arch" not in text


def test_a_chip_without_a_bundle_is_told_by_homebrew(builder):
    text = builder.formula(ARM, URL)
    assert "depends_on arch: :arm64" in text
    assert "on_intel" not in text


def test_what_is_installed_is_what_was_locked(builder):
    text = builder.formula(ARM, URL)
    assert '"--offline"' in text
    assert '"--require-hashes"' in text
    assert '"--no-index"' in text
