from __future__ import annotations

import io
import tarfile

import pytest

from byoi_agent.config.installation import Installation, read_installation
from byoi_agent.update import staging
from byoi_agent.update.programs import UpdateFailed
from byoi_agent.update.staging import program_of, stage, unpack

TOP = "byoi-agent-1.1.0"


@pytest.fixture
def bundle(tmp_path):
    def make(members=None, **links):
        file = tmp_path / "bundle.tar.gz"
        with tarfile.open(file, "w:gz") as archive:
            for name, text in (members or {f"{TOP}/requirements.txt": "", **GOOD}).items():
                member = tarfile.TarInfo(name)
                member.size = len(text)
                archive.addfile(member, io.BytesIO(text.encode()))
            for name, target in links.items():
                member = tarfile.TarInfo(f"{TOP}/{name}")
                member.type, member.linkname = tarfile.SYMTYPE, target
                archive.addfile(member)
        return file

    return make


GOOD = {f"{TOP}/release.json": "{}", f"{TOP}/root.json": "newer", f"{TOP}/wheels/a.whl": "x"}


@pytest.fixture
def environments(monkeypatch):
    """Stand-ins for environments: a program that says a version."""

    def make(target, top):
        assert (top / "wheels" / "a.whl").read_text() == "x"
        program = program_of(target)
        program.parent.mkdir(parents=True)
        program.write_text("#!/bin/sh\necho byoi 1.1.0 '(byoi.v1, Python 3.11.2)'\n")
        program.chmod(0o755)

    monkeypatch.setattr(staging, "make_environment", make)


def like(tmp_path):
    return Installation(kind="versions", version="1.0.0", index="https://x", root=tmp_path)


def test_a_release_stands_beside_the_others_with_what_it_needs(tmp_path, bundle, environments):
    target = tmp_path / "versions" / "1.1.0"
    target.parent.mkdir()
    stage(bundle(), "1.1.0", target, like(tmp_path), b"older")
    assert read_installation(target) == like(tmp_path).model_copy(update={"version": "1.1.0"})
    assert (target / "root.json").read_text() == "newer"
    assert [each.name for each in target.parent.iterdir()] == ["1.1.0"]


def test_what_the_setup_left_for_its_uninstaller_goes_along(
    tmp_path, bundle, environments, monkeypatch
):
    (tmp_path / "present").mkdir()
    (tmp_path / "present/place.py").write_text("ends our programs")
    monkeypatch.setattr(staging.sys, "prefix", str(tmp_path / "present"))
    target = tmp_path / "versions" / "1.1.0"
    target.parent.mkdir()
    stage(bundle(), "1.1.0", target, like(tmp_path), b"")
    assert (target / "place.py").read_text() == "ends our programs"


def test_half_of_one_is_never_taken_for_a_whole(tmp_path, bundle, environments):
    target = tmp_path / "versions" / "1.2.0"
    target.parent.mkdir()
    (tmp_path / "versions" / "1.2.0.partial").mkdir()
    with pytest.raises(UpdateFailed, match=r"says that it is byoi 1\.1\.0"):
        stage(bundle(), "1.2.0", target, like(tmp_path), b"")
    assert not list(target.parent.iterdir())


def test_a_full_disk_leaves_nothing_half_made(tmp_path, bundle, environments, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    target = tmp_path / "versions" / "1.1.0"
    target.parent.mkdir()
    monkeypatch.setattr(staging.shutil, "copyfileobj", full)
    with pytest.raises(OSError, match="No space"):
        stage(bundle(), "1.1.0", target, like(tmp_path), b"")
    assert not list(target.parent.iterdir())


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../elsewhere", f"{TOP}/../../elsewhere", f"{TOP}/a\\b", "c:x"]
)
def test_nothing_lands_elsewhere(tmp_path, bundle, name):
    with pytest.raises(UpdateFailed, match="lie elsewhere"):
        unpack(bundle({name: "x"}), tmp_path / "into")


def test_a_link_is_refused(tmp_path, bundle):
    with pytest.raises(UpdateFailed, match="no plain file"):
        unpack(bundle(link="/etc/passwd"), tmp_path / "into")


def test_what_is_larger_than_any_release_is_refused(tmp_path, bundle, monkeypatch):
    monkeypatch.setattr(staging, "MOST_FILES", 3)
    with pytest.raises(UpdateFailed, match="larger than any release"):
        unpack(bundle(), tmp_path / "into")


@pytest.mark.parametrize("content", [b"", bytes(range(64))])
def test_what_is_no_archive_is_told(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises((UpdateFailed, OSError)):
        unpack(tmp_path / "x", tmp_path / "into")


def test_an_archive_without_requirements_is_told(tmp_path, bundle):
    with pytest.raises(UpdateFailed, match=r"no requirements\.txt"):
        unpack(bundle({f"{TOP}/other": ""}), tmp_path / "into")
