"""Which wheels a machine of each kind gets, from whatever machine they are chosen on."""

from __future__ import annotations

import pytest
import wheels
from packaging.utils import parse_wheel_filename
from platforms import PLATFORMS


def _chosen(platform, python):
    return {
        str(parse_wheel_filename(wheel.filename)[0]): wheel.filename
        for wheel in wheels.locked_wheels(platform=platform, python=python)
    }


@pytest.mark.parametrize(
    ("platform", "python", "uvloop", "psutil"),
    [
        ("linux-x86_64", "3.11", "cp311-cp311-manylinux", "x86_64"),
        ("linux-aarch64", "3.14", "cp314-cp314-manylinux", "aarch64"),
        ("macos-arm64", "3.12", "cp312-cp312-macosx", "macosx_11_0_arm64"),
        ("windows-x86_64", "3.12", None, "win_amd64"),
    ],
)
def test_each_platform_gets_its_own(platform, python, uvloop, psutil):
    chosen = _chosen(platform, python)
    assert psutil in chosen["psutil"]
    assert "musllinux" not in "".join(chosen.values())
    assert uvloop in chosen["uvloop"] if uvloop else "uvloop" not in chosen
    assert ("pywin32-ctypes" in chosen) == (platform == "windows-x86_64")
    assert ("dbus-fast" in chosen) == platform.startswith("linux")
    assert ("importlib-metadata" in chosen) == (python == "3.11")


def test_a_package_without_a_wheel_is_named():
    with pytest.raises(wheels.NoWheelError, match=r"cryptography .* macos-x86_64, Python 3\.13"):
        _chosen("macos-x86_64", "3.13")


def test_the_oldest_systems_decide_which_wheels_fit():
    tags = {str(tag) for tag in PLATFORMS["linux-x86_64"].tags("3.12")}
    assert {"cp312-cp312-manylinux_2_28_x86_64", "cp38-abi3-manylinux2014_x86_64"} <= tags
    assert "py3-none-any" in tags
    assert "cp312-cp312-manylinux_2_34_x86_64" not in tags
    assert "cp312-cp312t-manylinux_2_28_x86_64" not in tags


def test_what_no_node_needs_is_left_out_and_no_longer_recorded(tmp_path):
    kept = ("nice/__init__.py", "nice/testing.py", "pydantic/tests/x.py", "nice-1.dist-info/RECORD")
    gone = ("nice/tests/test_it.py", "nice/fast.pyx", "nice/fast.c", "example.py")
    for path in (*kept, *gone):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("")
    record = tmp_path / "nice-1.dist-info" / "RECORD"
    record.write_text("".join(f"{path},,\n" for path in (*kept, *gone)))

    wheels._lighten(tmp_path)

    assert record.read_text() == "".join(f"{path},,\n" for path in kept)
    assert {path for path in (*kept, *gone) if (tmp_path / path).exists()} == set(kept)
    assert not (tmp_path / "nice" / "tests").exists()


def test_a_distribution_is_built_alone_with_its_siblings_pinned(tmp_path):
    project = (wheels._copied(tmp_path, "agent", "7.0.0") / "pyproject.toml").read_text()

    assert 'name = "byoi-agent"' in project
    assert 'version = "7.0.0"' in project
    assert '"byoi-wire==7.0.0"' in project
    assert 'demo = ["byoi-console==7.0.0"]' in project
    assert "tool.uv.sources" not in project
    assert (tmp_path / "agent" / "LICENSE").exists()


@pytest.mark.parametrize(("said", "epoch"), [("1234", 1234), ("", None)])
def test_the_time_of_a_build_is_the_callers_or_the_last_commits(monkeypatch, said, epoch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", said)
    assert wheels.source_date_epoch() == epoch if epoch else wheels.source_date_epoch() > 1.7e9


def test_requirements_are_pinned_with_hashes_and_without_ours():
    text = wheels.locked_requirements()
    assert "aiohttp==" in text
    assert "--hash=sha256:" in text
    assert "byoi" not in text
    assert "pystray" not in text
    assert "pystray" in wheels.locked_requirements(["tray"])
