from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import signal
import sqlite3
import stat
import sys
import tarfile

import pytest

from byoi_console.errors import BackupFailed
from byoi_console.store.backup import DATABASE, MANIFEST, Origin, back_up, check_database, unpacked

ORIGIN = Origin("1.2.3", "2027-01-15T00:00:00+00:00")


@pytest.fixture
def source(database, tmp_path):
    """The tests' database file; its tables are there."""
    return database.file


@pytest.fixture
def made(source, tmp_path):
    target = tmp_path / "made.bak"
    settings = tmp_path / "settings.toml"
    settings.write_text("port = 1\n")
    back_up(source, {"byoi-console.toml": settings}, target, ORIGIN)
    return target


def rewritten(made, change):
    """The same archive with its members changed: name → bytes, in their order."""
    with tarfile.open(made) as archive:
        members = {entry.name: archive.extractfile(entry).read() for entry in archive}
    change(members)
    with tarfile.open(made, "w") as archive:
        for name, content in members.items():
            header = tarfile.TarInfo(name)
            header.size = len(content)
            archive.addfile(header, io.BytesIO(content))
    return made


def refused(made, tmp_path, words):
    with pytest.raises(BackupFailed, match=words), unpacked(made, tmp_path):
        raise AssertionError("it was taken")
    assert not list(tmp_path.glob(".restore-*")), "nothing is left over"


def test_a_backup_is_one_private_file_that_says_what_it_is(made, tmp_path):
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    with unpacked(made, tmp_path) as (manifest, folder):
        assert (manifest.version, manifest.format) == ("1.2.3", 1)
        assert set(manifest.members) == {DATABASE, "byoi-console.toml"}
        assert (folder / "byoi-console.toml").read_text() == "port = 1\n"
        check_database(folder / DATABASE)
    assert not list(tmp_path.glob(".*")), "nothing is left over"


def test_what_is_committed_beside_it_is_in_or_out_as_a_whole(source, tmp_path):
    with contextlib.closing(sqlite3.connect(source, isolation_level=None)) as writer:
        writer.execute("CREATE TABLE pairs (a, b)")
        writer.execute("INSERT INTO pairs VALUES (1, 1)")
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("INSERT INTO pairs VALUES (2, 2)")
        back_up(source, {}, tmp_path / "b", ORIGIN)
        writer.execute("COMMIT")
    with (
        unpacked(tmp_path / "b", tmp_path) as (_, folder),
        contextlib.closing(sqlite3.connect(folder / DATABASE)) as copy,
    ):
        assert copy.execute("SELECT * FROM pairs").fetchall() == [(1, 1)]


def test_a_file_that_is_no_backup_is_named(tmp_path):
    for content in (b"", b"text", os.urandom(4096)):
        file = tmp_path / "other"
        file.write_bytes(content)
        refused(file, tmp_path, "is no backup of a console")


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_truncated_backup_is_refused(made, tmp_path, share):
    os.truncate(made, int(made.stat().st_size * share))
    refused(made, tmp_path, "is missing|damaged|no backup")


def test_a_flipped_byte_is_noticed(made, tmp_path):
    content = bytearray(made.read_bytes())
    content[len(content) // 2] ^= 1
    made.write_bytes(content)
    refused(made, tmp_path, f"the checksum of {DATABASE} does not fit")


def test_a_backup_of_a_later_format_is_refused_with_the_mend(made, tmp_path):
    def later(members):
        members[MANIFEST] = json.dumps({"format": 2, "news": True}).encode()

    refused(rewritten(made, later), tmp_path, "made by a later version of byoi-console")


@pytest.mark.parametrize("name", ["../escaped", "/etc/escaped", ".hidden", "a/b"])
def test_a_name_that_leads_elsewhere_is_refused(made, tmp_path, name):
    def elsewhere(members):
        told = json.loads(members[MANIFEST])
        told["members"][name] = told["members"][DATABASE]
        members[MANIFEST] = json.dumps(told).encode()

    refused(rewritten(made, elsewhere), tmp_path, "a name in it leads elsewhere")
    assert not (tmp_path.parent / "escaped").exists()


def test_a_manifest_that_is_none_is_refused(made, tmp_path):
    def none(members):
        members[MANIFEST] = b"[]"

    refused(rewritten(made, none), tmp_path, "its manifest cannot be read")


def test_a_database_that_sqlite_finds_broken_is_refused(tmp_path):
    broken = tmp_path / "broken"
    broken.write_bytes(b"SQLite format 3\0" + os.urandom(8192))
    with pytest.raises(BackupFailed, match="is damaged"):
        check_database(broken)


def test_what_is_no_console_s_database_is_not_backed_up(tmp_path):
    with pytest.raises(BackupFailed, match=r"there is no database at .* --data-dir"):
        back_up(tmp_path / "none", {}, tmp_path / "b", ORIGIN)
    (tmp_path / "text").write_text("text " * 1000)
    with pytest.raises(BackupFailed, match="cannot be copied"):
        back_up(tmp_path / "text", {}, tmp_path / "b", ORIGIN)
    assert not (tmp_path / "b").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="only on POSIX systems")
def test_a_full_disk_leaves_what_was_there(source, made, tmp_path):
    before = made.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, hard))
    try:
        with pytest.raises(BackupFailed):
            back_up(source, {}, made, ORIGIN)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    assert made.read_bytes() == before
    assert not list(tmp_path.glob(".made.bak*")), "nothing is left over"
