from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta

import pytest

from byoi_agent.update import index as of_index
from byoi_agent.update.fetching import Fetcher
from byoi_agent.update.index import Index, IndexTrouble, kind_of_file
from byoi_agent.update.policy import Range

KIND = "linux-x86_64"
ABOUT = {
    "schema": 1,
    "protocol": {"min": 1, "max": 1},
    "state_schema": {"min": 1, "max": 1},
    "settings_schema": 1,
}


@pytest.fixture
def look(tmp_path, local_index):
    """A new look, as each run of the updater has one; what was seen before is remembered."""
    folder = tmp_path / "update"
    (folder / "downloads").mkdir(parents=True)

    def new(url=None, root=None):
        fetcher = Fetcher(folder / "downloads")
        return Index(url or local_index.url, root or local_index.root, folder, fetcher)

    return new


def test_a_ring_says_its_version_and_what_that_one_can(local_index, look):
    local_index.add("1.1.0", rollout=0.25, state_schema={"min": 1, "max": 7}, settings_schema=3)
    offered = look().offered("stable")
    assert (offered.version, offered.rollout) == ("1.1.0", 0.25)
    assert (offered.protocol, offered.state_schema) == (Range(1, 1), Range(1, 7))
    assert offered.settings_schema == look().named("1.1.0").settings_schema == 3
    assert look().named("1.1.0").rollout == 1.0


def test_a_release_is_fetched_once_and_is_what_was_signed(local_index, look, tmp_path):
    local_index.add("1.1.0", b"the bundle")
    index = look()
    file = index.fetch("1.1.0", KIND)
    assert file.read_bytes() == b"the bundle"
    local_index.target("x86_64.tar.gz").unlink()
    assert look().fetch("1.1.0", KIND) == file
    assert [each.name for each in (tmp_path / "update/downloads").iterdir()] == [file.name]


def test_newer_keys_are_followed_from_the_ones_that_were_installed(
    local_index, look, tmp_path, keys
):
    import signing

    root = local_index.root
    local_index.repository.rotate("timestamp", signing.make_keys(tmp_path / "other"))
    local_index.repository._keys = keys  # what follows needs no timestamp key
    assert look(root=root)
    with pytest.raises(IndexTrouble, match="has no rings/stable"):
        look(root=root).offered("stable")


def test_another_ones_signature_is_not_believed(local_index, look, tmp_path):
    import signing
    from repository import Repository

    stranger = Repository(tmp_path / "stranger", signing.make_keys(tmp_path / "strangers"))
    stranger.begin()
    with pytest.raises(IndexTrouble, match="not signed by those who may sign it"):
        look((tmp_path / "stranger").as_uri()).offered("stable")


def test_an_index_that_was_changed_after_it_was_signed_is_not_believed(local_index, look):
    local_index.add("1.1.0")
    timestamp = local_index.folder / "repo/metadata/timestamp.json"
    said = json.loads(timestamp.read_bytes())
    said["signed"]["version"] += 1
    timestamp.write_text(json.dumps(said))
    with pytest.raises(IndexTrouble, match="not signed by those who may sign it"):
        look().offered("stable")


def test_an_index_that_nobody_signed_anew_has_expired(made_at, look):
    old = made_at(datetime.now(UTC) - timedelta(days=8))
    with pytest.raises(IndexTrouble, match="has expired"):
        look(old.url, old.root).offered("stable")


def test_an_older_index_than_was_seen_is_not_believed(local_index, look):
    local_index.add("1.1.0")
    kept = local_index.folder / "kept"
    shutil.copytree(local_index.folder / "repo", kept)
    local_index.add("1.2.0")
    assert look().offered("stable").version == "1.2.0"
    with pytest.raises(IndexTrouble, match="older than what was seen before"):
        look(kept.as_uri()).offered("stable")


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"short", "something else than it has signed"), (b"longer" * 99, "something else than it")],
)
def test_a_release_that_is_not_what_was_signed_is_thrown_away(
    local_index, look, tmp_path, content, told
):
    local_index.add("1.1.0", b"the bundle as it was signed")
    local_index.target("x86_64.tar.gz").write_bytes(content)
    with pytest.raises(IndexTrouble, match=told):
        look().fetch("1.1.0", KIND)
    assert not list((tmp_path / "update/downloads").iterdir())


def test_what_is_larger_than_any_release_is_not_even_begun(local_index, look, monkeypatch):
    local_index.add("1.1.0", b"x" * 20_000)
    monkeypatch.setattr(of_index, "LARGEST_BYTES", 19_999)
    with pytest.raises(IndexTrouble, match="too large: 20000 bytes"):
        look().fetch("1.1.0", KIND)


def test_room_on_the_disk_is_looked_for_before(local_index, look, monkeypatch):
    local_index.add("1.1.0", b"x" * 1000)
    index = look()
    usage = shutil.disk_usage(local_index.folder)._replace(free=3999)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(IndexTrouble, match="make room there"):
        index.fetch("1.1.0", KIND)


def test_an_index_that_is_not_there_is_told(look, tmp_path):
    with pytest.raises(IndexTrouble, match="lacks a file"):
        look((tmp_path / "nowhere").as_uri()).offered("stable")
    with pytest.raises(IndexTrouble, match=r"cannot be reached.*online"):
        look("http://127.0.0.1:9/").offered("stable")


def test_a_kind_of_machine_that_it_was_not_made_for_is_told(local_index, look):
    local_index.add("1.1.0")
    with pytest.raises(IndexTrouble, match="not made for this kind of machine"):
        look().fetch("1.1.0", "linux-riscv64")


def test_a_version_that_is_none_leads_nowhere(look):
    with pytest.raises(IndexTrouble, match="is no version"):
        look().named("../../1.1.0")


def test_a_release_that_says_nonsense_is_told(local_index, look):
    local_index.add("1.1.0", protocol={"min": "one", "max": 1})
    with pytest.raises(IndexTrouble, match="is not what it should be"):
        look().offered("stable")


class Misnamed(str):
    """A version that says another in its file than by its place."""

    __slots__ = ()

    def __str__(self):
        return "1.1.0"


@pytest.mark.parametrize("ask", [Index.release, Index.named])
def test_a_release_that_says_it_is_another_is_not_believed(local_index, look, tmp_path, ask):
    bundle = tmp_path / "byoi-agent-1.1.0-linux-x86_64.tar.gz"
    bundle.write_bytes(b"a bundle")
    local_index.repository.add({**ABOUT, "version": Misnamed("1.0.0")}, [bundle])
    local_index.repository.promote("1.1.0", "stable", 1.0)
    with pytest.raises(IndexTrouble, match=r"says 1\.0\.0 where 1\.1\.0 was asked for"):
        ask(look(), "1.1.0")
    with pytest.raises(IndexTrouble, match=r"says 1\.0\.0 where 1\.1\.0 was asked for"):
        look().offered("stable")


def test_keys_that_are_none_are_told(local_index, look):
    with pytest.raises(IndexTrouble, match="keys that this installation came with"):
        look(root=b"{}")


@pytest.mark.parametrize(
    ("kind", "system", "machine", "file"),
    [
        ("deb", "linux", "x86_64", "deb-amd64"),
        ("deb", "linux", "aarch64", "deb-arm64"),
        ("versions", "linux", "AMD64", "linux-x86_64"),
        ("versions", "darwin", "arm64", "macos-arm64"),
        ("versions", "darwin", "x86_64", "macos-x86_64"),
        ("windows", "win32", "AMD64", "windows-x86_64"),
        ("versions", "linux", "riscv64", "linux-riscv64"),
    ],
)
def test_each_machine_has_its_file(kind, system, machine, file):
    assert kind_of_file(kind, system=system, machine=machine) == file
