"""A bundle asks for what it carries, and says what it lacks."""

from __future__ import annotations

import bundle
import pytest
import wheels

EXPORTED = """click==8.5.1 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
uvloop==0.23.0 ; sys_platform != 'win32' \\
    --hash=sha256:cc
"""


def test_requirements_are_those_whose_wheels_are_carried_with_their_markers():
    assert bundle.only(EXPORTED, {"bb"}) == ["click==8.5.1 \\\n    --hash=sha256:bb"]
    assert bundle.only(EXPORTED, {"cc"}) == [
        "uvloop==0.23.0 ; sys_platform != 'win32' \\\n    --hash=sha256:cc"
    ]


def test_a_python_without_a_wheel_is_left_out_and_named(monkeypatch, tmp_path):
    def collect(into, *, platform, pythons):
        if pythons == ["3.14"]:
            raise wheels.NoWheelError("uvloop has no wheel")

    monkeypatch.setattr(bundle.wheels, "collect", collect)
    pythons, left_out = bundle._collect(tmp_path, "linux-x86_64")

    assert pythons == ["3.11", "3.12", "3.13"]
    assert left_out == {"3.14": "uvloop has no wheel"}


def test_a_platform_without_any_python_has_no_bundle(monkeypatch, tmp_path):
    def collect(into, *, platform, pythons):
        raise wheels.NoWheelError("cryptography has no wheel")

    monkeypatch.setattr(bundle.wheels, "collect", collect)
    with pytest.raises(bundle.NothingToBundleError, match="cryptography"):
        bundle._collect(tmp_path, "macos-x86_64")
