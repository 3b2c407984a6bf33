"""An archive depends on what is in it alone."""

from __future__ import annotations

import os
import tarfile

import archive


def _tree(folder, *, names, when, umask):
    folder.mkdir()
    before = os.umask(umask)
    try:
        for name in names:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(name)
        (folder / "run").chmod(0o755 & ~umask)
        (folder / "link").symlink_to("run")
        for path in folder.rglob("*"):
            os.utime(path, (when, when), follow_symlinks=False)
    finally:
        os.umask(before)
    return folder


def test_the_same_files_give_the_same_bytes_whenever_and_by_whomever(tmp_path):
    one = _tree(tmp_path / "one", names=("a/1", "b", "run"), when=1_000_000_000, umask=0o022)
    two = _tree(tmp_path / "two", names=("run", "b", "a/1"), when=1_500_000_000, umask=0o077)

    first = archive.pack(tmp_path / "1.tar.gz", one, top="byoi", epoch=1_700_000_000)
    second = archive.pack(tmp_path / "2.tar.gz", two, top="byoi", epoch=1_700_000_000)

    assert first.read_bytes() == second.read_bytes()
    with tarfile.open(first) as packed:
        found = {each.name: (oct(each.mode), each.uid, each.mtime) for each in packed}
        link = packed.getmember("byoi/link").linkname
    assert found["byoi/run"] == ("0o755", 0, 1_700_000_000)
    assert found["byoi/b"] == ("0o644", 0, 1_700_000_000)
    assert link == "run"


def test_another_letter_gives_other_bytes(tmp_path):
    one = _tree(tmp_path / "one", names=("a", "run"), when=0, umask=0o022)
    first = archive.pack(tmp_path / "1", one, top="byoi", epoch=0).read_bytes()
    (one / "a").write_text("b")

    assert archive.pack(tmp_path / "2", one, top="byoi", epoch=0).read_bytes() != first
