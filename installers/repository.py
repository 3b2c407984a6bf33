"""The signed index of releases: a repository of The Update Framework, in a folder.

Whoever serves the folder over HTTPS can neither change nor hold back a release unseen: every file
is named by its hash in `targets.json`, and `timestamp.json` must be signed anew every week.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.api.serialization.json import JSONSerializer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

LIFETIMES = {
    "root": timedelta(days=365),
    "targets": timedelta(days=180),
    "snapshot": timedelta(days=30),
    "timestamp": timedelta(days=7),
}
"""How long a role's signature is good. The shorter, the sooner a node sees that news is kept from
it; the longer, the more seldom the key is needed."""

NAMED_BY = {
    "root": (),
    "targets": ("snapshot", "timestamp"),
    "snapshot": ("timestamp",),
    "timestamp": (),
}
"""The roles whose files name a role's file, and are signed anew with it."""

RINGS = ("stable", "beta")
SCHEMA = 1
FILES_BY_SUFFIX = {
    "_amd64.deb": "deb-amd64",
    "_arm64.deb": "deb-arm64",
    "-linux-x86_64.tar.gz": "linux-x86_64",
    "-linux-aarch64.tar.gz": "linux-aarch64",
    "-macos-arm64.tar.gz": "macos-arm64",
    "-macos-x86_64.tar.gz": "macos-x86_64",
    "-windows-x86_64.tar.gz": "windows-x86_64",
}
"""What a node fetches to update itself, by the end of the file's name."""

_S = TypeVar("_S", Root, Snapshot, Targets, Timestamp)


class KeysOfRoles(Protocol):
    """Where the keys are that sign for the index's roles."""

    def all(self, purpose: str, /) -> Sequence[Ed25519PrivateKey]:
        """All keys that there are for a role."""


class RepositoryError(Exception):
    """The index cannot be changed so; the message says what to do."""


class Repository:
    """Sole owner of the index's folder while a command runs.

    A change is written in the order in which clients read it backwards: what nobody points to yet
    comes first, `timestamp.json` last, so that a cut in between changes nothing for them.
    """

    def __init__(self, folder: Path, keys: KeysOfRoles, now: datetime | None = None) -> None:
        self.metadata, self.targets = folder / "metadata", folder / "targets"
        self._keys: KeysOfRoles = keys
        self._now = (now or datetime.now(UTC)).replace(microsecond=0)

    @property
    def exists(self) -> bool:
        """Whether an index was begun there."""
        return (self.metadata / "timestamp.json").exists()

    @property
    def root_file(self) -> Path:
        """The newest root: what installers carry.

        Raises:
            RepositoryError: no index was begun there.
        """
        found = self.metadata.glob("*.root.json")
        if not (versions := sorted(found, key=lambda path: int(path.name.split(".")[0]))):
            raise RepositoryError(f"{self.metadata.parent} holds no index; begin one first: init")
        return versions[-1]

    def begin(self, thresholds: Mapping[str, int] | None = None) -> None:
        """The first version of every role; nothing is offered yet.

        All keys that are here may sign for their role; `thresholds` says of how many of them a
        role takes signatures, else it is one.

        Raises:
            RepositoryError: there is one already, or there are fewer keys than a threshold.
        """
        if self.exists:
            raise RepositoryError(f"{self.metadata.parent} holds an index already")
        root = Root(expires=self._until("root"), consistent_snapshot=True)
        for role in LIFETIMES:
            _trust(root, role, _signers(self._keys, role), (thresholds or {}).get(role, 1))
        self.metadata.mkdir(parents=True, exist_ok=True)
        self.targets.mkdir(parents=True, exist_ok=True)
        metadata = Metadata(root)
        _sign(metadata, _signers(self._keys, "root"))
        self._write_signed(metadata, "root")
        self._write(Metadata(Targets(expires=self._until("targets"))), "targets")
        snapshot = Snapshot(expires=self._until("snapshot"))
        snapshot.meta["targets.json"] = MetaFile(1)
        self._write(Metadata(snapshot), "snapshot")
        timestamp = Timestamp(expires=self._until("timestamp"))
        timestamp.snapshot_meta = MetaFile(1)
        self._write(Metadata(timestamp), "timestamp")

    def add(self, about: Mapping[str, Any], files: Sequence[Path]) -> list[str]:
        """Put a release in; no ring is at it yet. Returns the kinds of machine that it is for.

        Raises:
            RepositoryError: two files are for one kind of machine, or that version is there with
                other files: a release never changes.
        """
        version = str(about["version"])
        entries: dict[str, Path] = {}
        offered: dict[str, str] = {}
        for file in files:
            for suffix, kind in FILES_BY_SUFFIX.items():
                if file.name.endswith(suffix):
                    if kind in offered:
                        taken = entries[offered[kind]].name
                        raise RepositoryError(f"{taken} and {file.name} are both for {kind}")
                    offered[kind] = f"releases/{version}/{file.name}"
                    entries[offered[kind]] = file
        wanted = ("schema", "version", "protocol", "state_schema", "settings_schema")
        release = {**{key: about[key] for key in wanted}, "files": offered}
        place = f"releases/{version}/release.json"
        targets = self._load("targets", Targets)
        added = {path: TargetFile.from_file(path, str(file)) for path, file in entries.items()}
        added[place] = TargetFile.from_data(place, _json(release))
        for path, target in added.items():
            known = targets.signed.targets.get(path)
            if known is not None and known.hashes != target.hashes:
                raise RepositoryError(
                    f"{path} is published with other bytes: a release never changes; "
                    "publish the next version"
                )
        for path, file in entries.items():
            self._store(added[path], file.read_bytes(), file)
        self._store(added[place], _json(release))
        targets.signed.targets.update(added)
        self._publish(targets)
        return sorted(offered)

    def promote(self, version: str, ring: str, rollout: float) -> None:
        """Offer a version to a share of a ring's nodes, from 0 to 1.

        Raises:
            RepositoryError: no such version.
        """
        if not 0 <= rollout <= 1:
            raise RepositoryError(f"a rollout is a share from 0 to 1, and {rollout} is none")
        targets = self._load("targets", Targets)
        if f"releases/{version}/release.json" not in targets.signed.targets:
            known = ", ".join(self.versions()) or "none"
            raise RepositoryError(f"the index has no {version}; it has {known}; add it first")
        text = _json(
            {
                "schema": SCHEMA,
                "ring": ring,
                "version": version,
                "rollout": rollout,
                "published_at": self._now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
        )
        path = f"rings/{ring}.json"
        target = TargetFile.from_data(path, text)
        self._store(target, text)
        targets.signed.targets[path] = target
        self._publish(targets)

    def withdraw(self, version: str) -> None:
        """Take a release's files out of the index, so that no node can fetch them any more.

        Raises:
            RepositoryError: a ring is at it, or there is no such version.
        """
        for ring, said in self.rings().items():
            if said["version"] == version:
                raise RepositoryError(
                    f"{ring} is at {version}: promote another version there first"
                )
        targets = self._load("targets", Targets)
        gone = [path for path in targets.signed.targets if path.startswith(f"releases/{version}/")]
        if not gone:
            raise RepositoryError(f"the index has no {version}")
        for path in gone:
            target = targets.signed.targets.pop(path)
            self._place(target).unlink(missing_ok=True)
        self._publish(targets)

    def refresh(self) -> list[str]:
        """Sign the timestamp anew, and every role below root past half its life. Returns which.

        Only the keys of those roles are needed: mostly the timestamp's alone.
        """
        signed = []
        if self._is_due("targets"):
            self._publish(self._load("targets", Targets))
            return ["targets", "snapshot", "timestamp"]
        version = None
        if self._is_due("snapshot"):
            version = self._bump_snapshot({})
            signed.append("snapshot")
        self._bump_timestamp(version)
        return [*signed, "timestamp"]

    def rotate(self, role: str, replacement: KeysOfRoles, threshold: int | None = None) -> None:
        """Replace a role's keys by all that other folders have, signed by the root's present ones.

        A new root is signed by both: clients that know the old one follow. `threshold` is how many
        of the new keys have to sign from now on, as many as before if it is None. The files
        that name the role's file are signed anew too, each with its role's present keys.

        Raises:
            RepositoryError: too few of the root's keys, of the new ones, or of those are here.
        """
        root = self._load("root", Root)
        signers = self._signers("root")
        self.check_keys(NAMED_BY[role])
        new = _signers(replacement, role)
        before = root.signed.roles[role].threshold
        _trust(root.signed, role, new, before if threshold is None else threshold)
        root.signed.version += 1
        root.signed.expires = self._until("root")
        _sign(root, [*signers, *new] if role == "root" else signers)
        self._write_signed(root, "root")
        self._keys = _Instead(self._keys, role, replacement)
        if role == "targets":
            self._publish(self._load("targets", Targets))
        elif role == "snapshot":
            self._bump_timestamp(self._bump_snapshot({}))
        elif role == "timestamp":
            self._bump_timestamp()

    def check_keys(self, roles: Sequence[str]) -> None:
        """Whether enough of the keys of these roles are here, before something that takes long.

        Raises:
            RepositoryError: they are not; the message says how many are missing.
        """
        for role in roles:
            self._signers(role)

    def renew_root(self) -> None:
        """The same keys for another year."""
        root = self._load("root", Root)
        self._again(root, "root")

    def versions(self) -> list[str]:
        """All that it holds."""
        return sorted(
            path.split("/")[1]
            for path in self._load("targets", Targets).signed.targets
            if path.endswith("/release.json")
        )

    def rings(self) -> dict[str, dict[str, Any]]:
        """Where each ring is."""
        found = {}
        for path, target in self._load("targets", Targets).signed.targets.items():
            if path.startswith("rings/"):
                found[Path(path).stem] = json.loads(self._place(target).read_bytes())
        return found

    def expiries(self) -> dict[str, datetime]:
        """Until when each role's signature is good."""
        return {
            role: Metadata.from_file(str(self._published(role))).signed.expires
            for role in LIFETIMES
        }

    def _publish(self, targets: Metadata[Targets]) -> None:
        self._again(targets, "targets")
        changed = {"targets.json": MetaFile(targets.signed.version)}
        self._bump_timestamp(self._bump_snapshot(changed))

    def _bump_snapshot(self, changed: Mapping[str, MetaFile]) -> int:
        """Returns the version that the timestamp is to name."""
        snapshot = self._load("snapshot", Snapshot)
        snapshot.signed.meta.update(changed)
        self._again(snapshot, "snapshot")
        return snapshot.signed.version

    def _bump_timestamp(self, snapshot: int | None = None) -> None:
        timestamp = self._load("timestamp", Timestamp)
        if snapshot is not None:
            timestamp.signed.snapshot_meta = MetaFile(snapshot)
        self._again(timestamp, "timestamp")

    def _again(self, metadata: Metadata[_S], role: str) -> None:
        metadata.signed.version += 1
        metadata.signed.expires = self._until(role)
        self._write(metadata, role)

    def _write(self, metadata: Metadata[_S], role: str) -> None:
        _sign(metadata, self._signers(role))
        self._write_signed(metadata, role)

    def _write_signed(self, metadata: Metadata[_S], role: str) -> None:
        name = f"{role}.json" if role == "timestamp" else f"{metadata.signed.version}.{role}.json"
        data = metadata.to_bytes(JSONSerializer(compact=False))
        _replace(self.metadata / name, data)

    def _load(self, role: str, _kind: type[_S]) -> Metadata[_S]:
        return Metadata[_S].from_file(str(self._published(role)))

    def _published(self, role: str) -> Path:
        """What clients see: not what a command that was cut off had begun to write."""
        if role == "root":
            return self.root_file
        timestamp = self.metadata / "timestamp.json"
        if not timestamp.exists():
            raise RepositoryError(f"{self.metadata.parent} holds no index; begin one first: init")
        if role == "timestamp":
            return timestamp
        seen = Metadata[Timestamp].from_file(str(timestamp)).signed.snapshot_meta.version
        snapshot = self.metadata / f"{seen}.snapshot.json"
        if role == "snapshot":
            return snapshot
        meta = Metadata[Snapshot].from_file(str(snapshot)).signed.meta
        return self.metadata / f"{meta['targets.json'].version}.targets.json"

    def _is_due(self, role: str) -> bool:
        left = Metadata.from_file(str(self._published(role))).signed.expires - self._now
        return left < LIFETIMES[role] / 2

    def _until(self, role: str) -> datetime:
        return self._now + LIFETIMES[role]

    def _signers(self, role: str) -> list[CryptoSigner]:
        """Those of the keys here that the root names for a role; enough of them, or an error."""
        trusted = self._load("root", Root).signed.roles[role]
        here = _signers(self._keys, role)
        found = [each for each in here if each.public_key.keyid in trusted.keyids]
        if len(found) < trusted.threshold:
            raise RepositoryError(
                f"{role} takes the signatures of {trusted.threshold} of its {len(trusted.keyids)} "
                f"keys, and {len(found)} of those are here; name each one's folder: --keys FOLDER "
                "--keys FOLDER"
            )
        return found

    def _place(self, target: TargetFile) -> Path:
        folder, _, name = target.path.rpartition("/")
        return self.targets / folder / f"{target.hashes['sha256']}.{name}"

    def _store(self, target: TargetFile, data: bytes, file: Path | None = None) -> None:
        place = self._place(target)
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.exists() and hashlib.sha256(place.read_bytes()).digest() == bytes.fromhex(
            target.hashes["sha256"]
        ):
            return
        if file is not None:
            try:
                place.hardlink_to(file)
            except OSError:
                shutil.copyfile(file, place)
        else:
            _replace(place, data)


class _Instead:
    """Keys of which one role's come from other folders."""

    def __init__(self, keys: KeysOfRoles, role: str, replacement: KeysOfRoles) -> None:
        self._keys, self._role, self._replacement = keys, role, replacement

    def all(self, purpose: str) -> Sequence[Ed25519PrivateKey]:
        return (self._replacement if purpose == self._role else self._keys).all(purpose)


def _signers(keys: KeysOfRoles, role: str) -> list[CryptoSigner]:
    return [CryptoSigner(key) for key in keys.all(role)]


def _trust(root: Root, role: str, signers: Sequence[CryptoSigner], threshold: int) -> None:
    """Have a role be signed by `threshold` of these, and by no others."""
    keys = {each.public_key.keyid: each.public_key for each in signers}
    if not 1 <= threshold <= len(keys):
        raise RepositoryError(
            f"{role} cannot take the signatures of {threshold} keys: there are {len(keys)}; each "
            "person's key is in a folder of its own, and each folder is named"
        )
    for key_id in list(root.roles[role].keyids):
        root.revoke_key(key_id, role)
    for key in keys.values():
        root.add_key(key, role)
    root.roles[role].threshold = threshold


def _sign(metadata: Metadata[_S], signers: Sequence[CryptoSigner]) -> None:
    metadata.signatures.clear()
    for signer in signers:
        metadata.sign(signer, append=True)


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=2) + "\n").encode()


def _replace(path: Path, data: bytes) -> None:
    """Whole or not at all, whoever reads meanwhile."""
    draft = path.with_name(f".{path.name}.new")
    with draft.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
