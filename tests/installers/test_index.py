"""The signed index, read by The Update Framework's own client, as every node reads it."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import index
import pytest
import repository
import signing
from repository import Repository, RepositoryError
from tuf.api.exceptions import DownloadHTTPError, ExpiredMetadataError, UnsignedMetadataError
from tuf.ngclient import FetcherInterface, Updater

ABOUT = {
    "schema": 1,
    "version": "0.2.0",
    "protocol": {"min": 1, "max": 1},
    "state_schema": {"min": 1, "max": 2},
    "settings_schema": 3,
    "source": "c0ffee",
}

WRITES_OF_A_PROMOTION = 4
"""The ring's file, targets, snapshot, timestamp."""


class FromFolder(FetcherInterface):
    def __init__(self, folder):
        self.folder = folder

    def _fetch(self, url):
        path = self.folder / url.removeprefix("folder:")
        if not path.exists():
            raise DownloadHTTPError(url, 404)
        yield path.read_bytes()


class Node:
    """One that was installed when the index had this root, and remembers what it saw."""

    def __init__(self, served, folder):
        self.served, self.folder = served, folder
        self.root = (served / "metadata" / "1.root.json").read_bytes()
        for name in ("metadata", "downloads"):
            (folder / name).mkdir(parents=True)

    def read(self, path):
        updater = Updater(
            *(str(self.folder / "metadata"), "folder:metadata/"),
            *(str(self.folder / "downloads"), "folder:targets/"),
            FromFolder(self.served),
            bootstrap=self.root,
        )
        if (found := updater.get_targetinfo(path)) is None:
            return None
        return Path(updater.download_target(found)).read_bytes()

    def ring(self, name="stable"):
        said = self.read(f"rings/{name}.json")
        return said and {key: json.loads(said)[key] for key in ("version", "rollout")}


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    return signing.make_keys(tmp_path_factory.mktemp("keys") / "keys")


@pytest.fixture
def served(tmp_path):
    return tmp_path / "served"


@pytest.fixture
def opened(served, keys):
    """The index as a command opens it, at some time."""

    def opened(*, later=timedelta(), keys=keys):
        return Repository(served, keys, datetime.now(UTC) + later)

    return opened


@pytest.fixture
def begun(opened):
    opened().begin()
    return opened


@pytest.fixture
def files(tmp_path):
    folder = tmp_path / "dist"
    folder.mkdir()
    for name in ("byoi-agent_0.2.0_amd64.deb", "byoi-agent-0.2.0-macos-arm64.tar.gz", "other.txt"):
        (folder / name).write_text(f"content of {name}")
    return sorted(folder.iterdir())


def test_a_release_is_offered_to_nobody_until_it_is_promoted(begun, served, files, tmp_path):
    node = Node(served, tmp_path / "node")
    assert begun().add(ABOUT, files) == ["deb-amd64", "macos-arm64"]
    assert node.ring() is None

    begun().promote("0.2.0", "stable", 0.25)

    assert node.ring() == {"version": "0.2.0", "rollout": 0.25}
    assert node.ring("beta") is None
    release = json.loads(node.read("releases/0.2.0/release.json"))
    assert release == {
        **{key: ABOUT[key] for key in ABOUT if key != "source"},
        "files": {
            "deb-amd64": "releases/0.2.0/byoi-agent_0.2.0_amd64.deb",
            "macos-arm64": "releases/0.2.0/byoi-agent-0.2.0-macos-arm64.tar.gz",
        },
    }
    assert node.read(release["files"]["deb-amd64"]) == b"content of byoi-agent_0.2.0_amd64.deb"


def test_adding_a_release_twice_changes_nothing_and_with_other_bytes_is_refused(begun, files):
    begun().add(ABOUT, files)
    begun().add(ABOUT, files)
    files[0].unlink()
    files[0].write_text("another")

    with pytest.raises(RepositoryError, match="never changes"):
        begun().add(ABOUT, files)


def test_two_files_for_one_kind_of_machine_are_refused(begun, files, tmp_path):
    files.append(tmp_path / "byoi-agent_0.2.0rc1_amd64.deb")
    with pytest.raises(RepositoryError, match=r"0\.2\.0_amd64\.deb and .*rc1.* both for deb-amd64"):
        begun().add(ABOUT, files)


def test_what_cannot_be_is_told_with_what_to_do(begun, files):
    begun().add(ABOUT, files)
    with pytest.raises(RepositoryError, match=r"has no 9.9.9; it has 0.2.0; add it first"):
        begun().promote("9.9.9", "stable", 1)
    with pytest.raises(RepositoryError, match="from 0 to 1"):
        begun().promote("0.2.0", "stable", 25)
    with pytest.raises(RepositoryError, match="already"):
        begun().begin()
    with pytest.raises(RepositoryError, match=r"has no 9.9.9"):
        begun().withdraw("9.9.9")


def test_a_release_is_withdrawn_once_no_ring_is_at_it(begun, served, files, tmp_path):
    node = Node(served, tmp_path / "node")
    begun().add(ABOUT, files)
    begun().promote("0.2.0", "beta", 1)
    with pytest.raises(RepositoryError, match=r"beta is at 0\.2\.0"):
        begun().withdraw("0.2.0")
    begun().add({**ABOUT, "version": "0.3.0"}, [])
    begun().promote("0.3.0", "beta", 1)

    begun().withdraw("0.2.0")

    assert begun().versions() == ["0.3.0"]
    assert node.read("releases/0.2.0/release.json") is None
    assert not list(served.rglob("*0.2.0_amd64.deb"))
    assert files[0].exists()


def test_every_day_only_the_key_of_the_timestamp_is_needed(begun, served, keys, tmp_path):
    online = signing.Keys(tmp_path / "online")
    online.folder.mkdir()
    online.path("timestamp").write_bytes(keys.path("timestamp").read_bytes())
    online.path("timestamp").chmod(0o600)
    node = Node(served, tmp_path / "node")

    assert begun(keys=online, later=timedelta(days=3)).refresh() == ["timestamp"]
    assert node.ring() is None
    with pytest.raises(signing.KeysError, match=r"snapshot\.key cannot be read"):
        begun(keys=online, later=timedelta(days=20)).refresh()
    assert begun(later=timedelta(days=20)).refresh() == ["snapshot", "timestamp"]
    assert begun(later=timedelta(days=100)).refresh() == ["targets", "snapshot", "timestamp"]


def test_an_index_that_nobody_signs_any_more_is_not_believed(opened, served, tmp_path):
    opened(later=-timedelta(days=8)).begin()
    node = Node(served, tmp_path / "node")
    with pytest.raises(ExpiredMetadataError, match="timestamp"):
        node.ring()

    opened().refresh()

    assert node.ring() is None


@pytest.mark.parametrize("role", ["root", "targets", "snapshot", "timestamp"])
def test_nodes_follow_when_a_key_is_replaced_and_the_old_one_is_worth_nothing(
    begun, served, files, tmp_path, keys, role, monkeypatch
):
    node, other = Node(served, tmp_path / "node"), signing.make_keys(tmp_path / "other")
    begun().add(ABOUT, files)
    begun().promote("0.2.0", "stable", 0.5)
    assert node.ring()["rollout"] == 0.5

    begun().rotate(role, other)

    assert node.ring()["rollout"] == 0.5
    if role == "root":
        begun(keys=other).renew_root()
        assert node.ring()["rollout"] == 0.5
    with pytest.raises(RepositoryError, match="of 1 of its 1 keys, and 0 of those are here"):
        begun(keys=keys).check_keys([role])
    whoever_has_the_old_key_signs_all_the_same(monkeypatch)
    if role == "root":
        begun(keys=keys).rotate("timestamp", keys)  # a root that only the old key signs
    else:
        begun().promote("0.2.0", "stable", 1)
    with pytest.raises(UnsignedMetadataError):
        node.ring()


@pytest.mark.parametrize("role", ["targets", "snapshot"])
def test_a_key_that_is_missing_further_down_is_told_before_anything_is_written(
    begun, opened, files, tmp_path, keys, role
):
    begun().add(ABOUT, files)
    other = signing.make_keys(tmp_path / "other")
    some = shutil.copytree(keys.folder, tmp_path / "some")
    (some / "timestamp.key").unlink()
    before = {path: path.read_bytes() for path in opened().metadata.iterdir()}
    with pytest.raises(signing.KeysError, match="timestamp"):
        opened(keys=signing.Keys(some)).rotate(role, other)
    with pytest.raises(RepositoryError, match="of 0 keys"):
        opened().rotate("timestamp", other, threshold=0)
    assert {path: path.read_bytes() for path in opened().metadata.iterdir()} == before


def whoever_has_the_old_key_signs_all_the_same(monkeypatch):
    def signers(index, role):
        return repository._signers(index._keys, role)

    monkeypatch.setattr(Repository, "_signers", signers)


@pytest.fixture
def holders(tmp_path):
    """Three people's keys, each in a folder of its own."""
    folders = [tmp_path / name for name in ("anna", "ben", "carla")]
    for folder in folders:
        signing.make_keys(folder)
    return folders


def test_a_role_that_two_of_three_people_sign_for_needs_two_of_them(
    opened, served, files, tmp_path, holders, monkeypatch
):
    opened(keys=signing.Keys(*holders)).begin({"root": 2, "targets": 2})
    node = Node(served, tmp_path / "node")
    two = signing.Keys(*holders[1:])
    opened(keys=two).add(ABOUT, files)
    opened(keys=two).promote("0.2.0", "stable", 1)
    assert node.ring()["version"] == "0.2.0"

    alone = signing.Keys(holders[0])
    for change in (
        lambda: opened(keys=alone).promote("0.2.0", "stable", 0),
        lambda: opened(keys=alone).rotate("timestamp", two),
        lambda: opened(keys=alone).check_keys(["targets"]),
    ):
        with pytest.raises(RepositoryError, match="of 2 of its 3 keys, and 1 of those are here"):
            change()
    assert opened(keys=alone).refresh() == ["timestamp"]  # of which one is enough
    assert node.ring()["rollout"] == 1
    whoever_has_the_old_key_signs_all_the_same(monkeypatch)
    opened(keys=alone).promote("0.2.0", "stable", 0)
    with pytest.raises(UnsignedMetadataError):
        node.ring()


def test_a_root_that_old_and_new_people_have_signed_is_followed_and_one_by_too_few_is_not(
    opened, served, files, tmp_path, holders
):
    opened(keys=signing.Keys(*holders)).begin({"root": 2})
    node = Node(served, tmp_path / "node")
    assert node.ring() is None
    two, new = signing.Keys(*holders[:2]), signing.make_keys(tmp_path / "dora")
    assert node.ring() is None

    opened(keys=two).rotate("root", signing.Keys(holders[0], new.folder))
    opened(keys=two).add(ABOUT, files)
    opened(keys=two).promote("0.2.0", "stable", 1)
    assert node.ring()["rollout"] == 1  # knew the first root only
    with pytest.raises(RepositoryError, match="of 2 of its 2 keys, and 1 of those are here"):
        opened(keys=two).renew_root()
    changed = signing.Keys(holders[0], new.folder)
    opened(keys=changed).renew_root()
    opened(keys=changed).rotate("root", new, threshold=1)
    assert node.ring()["rollout"] == 1
    with pytest.raises(RepositoryError, match="cannot take the signatures of 2 keys: there are 1"):
        opened(keys=new).rotate("root", new, threshold=2)


@pytest.mark.parametrize("survives", range(5))
def test_a_cut_at_any_moment_leaves_the_index_as_nodes_saw_it(
    begun, served, files, tmp_path, monkeypatch, survives
):
    begun().add(ABOUT, files)
    begun().promote("0.2.0", "stable", 0.25)
    written = []

    def cut(path, data, whole=repository._replace):
        if len(written) == survives:
            raise KeyboardInterrupt
        whole(path, data)
        written.append(path)

    with monkeypatch.context() as patched:
        patched.setattr(repository, "_replace", cut)
        with contextlib.suppress(KeyboardInterrupt):
            begun().promote("0.2.0", "stable", 0.75)

    node = Node(served, tmp_path / "node")
    expected = 0.25 if survives < WRITES_OF_A_PROMOTION else 0.75
    assert node.ring()["rollout"] == expected
    begun().promote("0.2.0", "beta", 1)
    assert node.ring()["rollout"] == expected
    assert node.ring("beta")["rollout"] == 1


def _said(monkeypatch, capsys, *words):
    monkeypatch.setattr(sys, "argv", ["index.py", *map(str, words)])
    code = index.main()
    told = capsys.readouterr()
    return code, told.out + told.err


def test_the_commands_of_a_release_engineer(monkeypatch, capsys, served, tmp_path, files):
    def said(command, *words):
        places = ("-r", served, "-k", tmp_path / "keys")
        return _said(monkeypatch, capsys, command, *words, *places)

    assert _said(monkeypatch, capsys, "keys", tmp_path / "keys")[0] == 0
    code, told = said("show")
    assert code == 1
    assert "init" in told
    assert said("init")[0] == 0
    code, told = said("halt", "--ring", "stable")
    assert (code, "nothing was promoted" in told) == (1, True)
    for version in ("10.2.0", "0.2.0.1", "0.2.0rc1"):
        (tmp_path / "dist" / f"byoi-agent_{version}_amd64.deb").write_text(version)
    code, told = said("add", "0.2.0", "--files", tmp_path / "dist")
    assert (code, "for deb-amd64, macos-arm64." in told) == (0, True)
    deb = next((served / "targets" / "releases" / "0.2.0").glob("*.deb"))
    assert deb.read_text() == "content of byoi-agent_0.2.0_amd64.deb"
    assert "25%" in said("promote", "0.2.0", "--ring", "stable", "--rollout", "0.25")[1]
    assert said("halt", "--ring", "stable")[0] == 0
    assert said("refresh") == (0, "signed anew: timestamp\n")
    assert "root is good until" in said("renew-root")[1]
    assert said("withdraw", "0.2.0")[0] == 1
    signing.make_keys(tmp_path / "new")
    assert said("rotate", "timestamp", "--new-keys", tmp_path / "new")[0] == 0
    shown = json.loads(said("show")[1])
    assert shown["versions"] == ["0.2.0"]
    assert shown["rings"]["stable"]["rollout"] == 0
    assert set(shown["expires"]) == {"root", "targets", "snapshot", "timestamp"}


def test_an_index_of_several_people_by_the_commands(monkeypatch, capsys, tmp_path, holders, files):
    def said(command, *words, who):
        keys = [word for folder in who for word in ("-k", folder)]
        return _said(monkeypatch, capsys, command, *words, "-r", tmp_path / "served", *keys)

    assert said("init", "--threshold", "root=2", "--threshold", "targets=3", who=holders)[0] == 0
    code, told = said("add", "0.2.0", "--files", tmp_path / "dist", who=holders[:2])
    assert (code, "targets takes the signatures of 3 of its 3 keys" in told) == (1, True)
    assert said("add", "0.2.0", "--files", tmp_path / "dist", who=holders)[0] == 0
    new = ("--new-keys", holders[0], "--new-keys", holders[1], "--threshold", "2")
    code, told = said("rotate", "targets", *new, who=holders)
    assert (code, f"{holders[0]} and {holders[1]} from now on" in told) == (0, True)
    assert said("promote", "0.2.0", "--ring", "beta", who=holders[:2])[0] == 0
    with pytest.raises(SystemExit):
        said("init", "--threshold", "all=2", who=holders)
    assert "is not as root=2" in capsys.readouterr().err
