"""A release says what it was made from."""

from __future__ import annotations

import hashlib

import provenance
import wheels


def test_every_file_is_named_with_its_hash_and_the_commit_it_came_from(monkeypatch):
    monkeypatch.setattr(provenance.facts, "commit", lambda: "c0ffee")
    monkeypatch.setattr(provenance.facts, "is_clean", lambda: False)
    said = provenance.of_this_build({"b.whl": "22", "a.deb": "11"}, development_keys=True)

    assert (said["_type"], said["predicateType"]) == (
        "https://in-toto.io/Statement/v1",
        "https://slsa.dev/provenance/v1",
    )
    assert said["subject"] == [
        {"name": "a.deb", "digest": {"sha256": "11"}},
        {"name": "b.whl", "digest": {"sha256": "22"}},
    ]
    build = said["predicate"]["buildDefinition"]
    source = build["externalParameters"]["source"]
    assert (source["commit"], source["treeIsClean"]) == ("c0ffee", False)
    assert source["signedWith"] == "development keys"
    lock = hashlib.sha256((wheels.ROOT / "uv.lock").read_bytes()).hexdigest()
    assert build["resolvedDependencies"][:2] == [
        {"uri": "git+byoi", "digest": {"gitCommit": "c0ffee"}},
        {"uri": "file:uv.lock", "digest": {"sha256": lock}},
    ]
    assert said["predicate"]["runDetails"]["builder"]["id"]


def test_what_may_get_into_a_build_is_what_the_lock_names():
    lock = """
[[package]]
name = "click"
version = "8.5.1"
wheels = [{ url = "https://x/click-8.5.1-py3-none-any.whl", hash = "sha256:aa" }]
[[package]]
name = "byoi"
version = "0.1.0"
"""
    assert provenance.locked(lock) == [
        {
            "uri": "pkg:pypi/click@8.5.1",
            "name": "click-8.5.1-py3-none-any.whl",
            "digest": {"sha256": "aa"},
        }
    ]


def test_what_builds_our_own_wheels_is_named_as_well():
    """They run while the wheels are made: what is not told of them could not be looked into."""
    pinned = (
        "# why\nhatchling==1.33.0 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n"
        "pluggy==1.7.0 \\\n    --hash=sha256:cc\n"
    )
    assert provenance.builders(pinned) == [
        {"uri": "pkg:pypi/hatchling@1.33.0", "digest": {"sha256": "aa"}},
        {"uri": "pkg:pypi/hatchling@1.33.0", "digest": {"sha256": "bb"}},
        {"uri": "pkg:pypi/pluggy@1.7.0", "digest": {"sha256": "cc"}},
    ]
    named = provenance.of_this_build({}, development_keys=True)
    materials = named["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert any(each["uri"].startswith("pkg:pypi/hatchling@") for each in materials)
