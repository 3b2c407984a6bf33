"""A package index of one folder: wheels made here, found by name, nothing fetched from afar."""

from __future__ import annotations

import base64
import hashlib
import zipfile

import pytest

METADATA = b"Metadata-Version: 2.1\nName: %b\nVersion: %b\n"


class Index:
    """A folder of wheels that uv and pip are pointed to."""

    def __init__(self, folder):
        self.folder = folder

    def add(self, name, version, files):
        """Make a wheel of these files; returns its pinned requirement."""
        info = f"{name.replace('-', '_')}-{version}.dist-info"
        files = {
            **files,
            f"{info}/METADATA": METADATA % (name.encode(), version.encode()),
            f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\n"
            b"Tag: py3-none-any\n",
        }
        record = "".join(f"{path},{_record(data)},{len(data)}\n" for path, data in files.items())
        wheel = self.folder / f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
            for path, data in files.items():
                archive.writestr(path, data)
            archive.writestr(f"{info}/RECORD", f"{record}{info}/RECORD,,\n")
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        return f"{name}=={version} --hash=sha256:{digest}"


def _record(data):
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"sha256={digest}"


@pytest.fixture
def index(tmp_path, monkeypatch):
    folder = tmp_path / "index"
    folder.mkdir()
    for name in ("UV_FIND_LINKS", "UV_DEFAULT_INDEX", "UV_INDEX"):
        monkeypatch.delenv(name, raising=False)
    # As a machine's owner would have told pip; uv must be told the same.
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("UV_NO_INDEX", "1")
    return Index(folder)


@pytest.fixture
def heard():
    """What was reported."""
    return []
