"""No wheel gets into a release that would run by itself or stand in for another."""

from __future__ import annotations

import zipfile

import pytest
import scan
import wheels


def _wheel(folder, *paths, name="nice-1.0-py3-none-any.whl"):
    with zipfile.ZipFile(folder / name, "w") as archive:
        for path in (*paths, "nice-1.0.dist-info/METADATA"):
            archive.writestr(path, "Name: nice\nVersion: 1.0\n")
    return folder / name


def test_a_package_below_its_own_name_passes(tmp_path):
    wheel = _wheel(
        tmp_path, "nice/__init__.py", "nice-1.0.data/scripts/run", "abc__mypyc.cpython-311.so"
    )
    assert scan.complaints(wheel) == []
    assert scan.metadata(wheel)["Name"] == "nice"


@pytest.mark.parametrize(
    "path",
    [
        "nice.pth",
        "nice-1.0.data/purelib/distutils-precedence.pth",
        "sitecustomize.py",
        "usercustomize/__init__.py",
    ],
)
def test_what_runs_at_every_start_is_refused(tmp_path, path):
    told = scan.complaints(_wheel(tmp_path, "nice/__init__.py", path))
    assert any("would run at every start" in each for each in told)


@pytest.mark.parametrize("path", ["requests/__init__.py", "ssl.py", "nice-1.0.data/platlib/os.py"])
def test_anothers_name_is_refused(tmp_path, path):
    wheel = _wheel(tmp_path, "nice/__init__.py", path)
    with pytest.raises(wheels.BadWheelError, match="at its top"):
        wheels.refuse_bad(wheel)
