"""Where a release comes from: an in-toto statement with SLSA's provenance as its predicate."""

from __future__ import annotations

import hashlib
import platform
import sys
import tomllib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import facts
import wheels

if TYPE_CHECKING:
    from collections.abc import Mapping

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "https://byoi.dev/releasing/v1"
"""A name, no address: `make release` as docs/releasing.md tells it."""


def statement(
    subjects: Mapping[str, str],
    *,
    source: Mapping[str, Any],
    materials: list[dict[str, Any]],
    builder: Mapping[str, Any],
    finished: datetime,
) -> dict[str, Any]:
    """Say of files (name → SHA-256) what they were made from, by what, and when."""
    return {
        "_type": STATEMENT,
        "subject": [
            {"name": name, "digest": {"sha256": digest}}
            for name, digest in sorted(subjects.items())
        ],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {"source": dict(source)},
                "internalParameters": {},
                "resolvedDependencies": materials,
            },
            "runDetails": {
                "builder": dict(builder),
                "metadata": {"finishedOn": finished.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")},
            },
        },
    }


def of_this_build(subjects: Mapping[str, str], *, development_keys: bool) -> dict[str, Any]:
    """The statement for files that were just built from this tree on this machine."""
    commit = facts.commit()
    source = {
        "commit": commit,
        "treeIsClean": facts.is_clean(),
        "version": wheels.version(),
        "sourceDateEpoch": wheels.source_date_epoch(),
        "signedWith": "development keys" if development_keys else "release keys",
    }
    tree = [{"uri": "git+byoi", "digest": {"gitCommit": commit}}] if commit else []
    lock = (wheels.ROOT / "uv.lock").read_bytes()
    materials = [
        *tree,
        {"uri": "file:uv.lock", "digest": {"sha256": hashlib.sha256(lock).hexdigest()}},
        *locked(lock.decode()),
        *builders(wheels.BUILD_REQUIREMENTS.read_text()),
    ]
    return statement(
        subjects,
        source=source,
        materials=materials,
        builder={"id": "https://byoi.dev/releasing/v1/make-release", "version": _versions()},
        finished=datetime.now(UTC),
    )


def locked(lock: str) -> list[dict[str, Any]]:
    """Every file that `uv.lock` allows, with its hash: nothing else is carried along."""
    return [
        {
            "uri": f"pkg:pypi/{package['name']}@{package['version']}",
            "name": wheel["url"].rsplit("/", 1)[-1],
            "digest": {"sha256": wheel["hash"].removeprefix("sha256:")},
        }
        for package in tomllib.loads(lock)["package"]
        for wheel in package.get("wheels", ())
    ]


def builders(pinned: str) -> list[dict[str, Any]]:
    """What makes wheels of our own sources, each with the hashes of which one must fit."""
    uri, found = "", list[dict[str, Any]]()
    for line in pinned.splitlines():
        name, is_version, version = line.removesuffix("\\").strip().partition("==")
        if is_version:
            uri = f"pkg:pypi/{name}@{version}"
        elif name.startswith("--hash=sha256:"):
            digest = name.removeprefix("--hash=sha256:")
            found.append({"uri": uri, "digest": {"sha256": digest}})
    return found


def _versions() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "implementation": sys.implementation.name,
    }
