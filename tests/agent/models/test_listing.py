from __future__ import annotations

import pytest

from byoi_agent.models import listing
from byoi_agent.models.hub_errors import HubRefused, HubUnreachable
from byoi_agent.models.selection import RemoteFile

COMMIT, SHA, GIT = "a" * 40, "b" * 64, "c" * 40
REPO = "owner/name"


def test_a_list_has_a_commit_and_names():
    entry = {"rfilename": "config.json"}
    told = listing.of_list(REPO, {"sha": COMMIT, "siblings": [entry]}, "http://hub")
    assert told == (COMMIT, [("config.json", entry)])


@pytest.mark.parametrize(
    "content", [None, [], {}, {"sha": "main", "siblings": []}, {"sha": COMMIT, "siblings": {}}]
)
def test_what_is_no_list_is_said(content):
    with pytest.raises(HubUnreachable, match="does not list files as a hub does"):
        listing.of_list(REPO, content, "http://hub")


def test_a_list_longer_than_any_models_is_refused(monkeypatch):
    monkeypatch.setattr(listing, "_LISTED_FILES", 1)
    with pytest.raises(HubRefused, match="lists 2 files, so it is no model"):
        listing.of_list(REPO, {"sha": COMMIT, "siblings": [{}, {}]}, "http://hub")


@pytest.mark.parametrize("entry", [None, 3, [], {}, {"rfilename": 3}])
def test_a_file_without_a_name_is_refused(entry):
    with pytest.raises(HubRefused, match="has no name"):
        listing.of_list(REPO, {"sha": COMMIT, "siblings": [entry]}, "http://hub")


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"size": 7, "blobId": GIT.upper()}, RemoteFile("f", 7, "git-sha1", GIT)),
        ({"size": 9, "lfs": {"sha256": SHA, "size": 7}}, RemoteFile("f", 7, "sha256", SHA)),
        ({"size": 7, "lfs": {"oid": SHA}}, RemoteFile("f", 7, "sha256", SHA)),
        ({"size": 7}, None),
        ({"blobId": GIT}, None),
        ({}, None),
    ],
)
def test_sizes_and_digests_are_read_where_they_are(entry, expected):
    assert listing.told(REPO, {"rfilename": "f", **entry}, "rfilename", "blobId") == expected


@pytest.mark.parametrize(
    "entry",
    [
        {"size": -1, "blobId": GIT},
        {"size": True, "blobId": GIT},
        {"size": 1 << 60, "blobId": GIT},
        {"size": "7", "blobId": GIT},
        {"size": 7, "blobId": SHA},
        {"size": 7, "blobId": "../" + "c" * 37},
        {"size": 7, "blobId": 7},
        {"size": 7, "lfs": {"sha256": GIT}},
    ],
)
def test_sizes_and_digests_that_cannot_be_are_refused(entry):
    with pytest.raises(HubRefused, match="cannot be"):
        listing.told(REPO, {"rfilename": "f", **entry}, "rfilename", "blobId")


def test_a_tree_tells_files_and_leaves_out_folders():
    content = [
        {"type": "directory", "path": "onnx", "oid": GIT},
        {"type": "file", "path": "f", "size": 7, "oid": GIT},
        {"path": "g", "size": 7, "lfs": {"oid": SHA, "size": 8}, "oid": GIT},
        {"type": "file", "path": "h", "oid": GIT},
        "nonsense",
    ]
    assert listing.of_tree(REPO, content) == {
        "f": RemoteFile("f", 7, "git-sha1", GIT),
        "g": RemoteFile("g", 8, "sha256", SHA),
        "h": None,
    }
    assert listing.of_tree(REPO, {"error": "no"}) == {}


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (
            [{"x-linked-size": "7", "x-linked-etag": f'"{SHA}"'}, {"content-length": "9"}],
            RemoteFile("f", 7, "sha256", SHA),
        ),
        ([{"content-length": "7", "etag": f'W/"{GIT}"'}], RemoteFile("f", 7, "git-sha1", GIT)),
        (
            [{"content-length": "7", "etag": f'"{GIT}"', "x-checksum-sha256": SHA}],
            RemoteFile("f", 7, "sha256", SHA),
        ),
        ([{"content-length": "7", "etag": '"made-up"'}], RemoteFile("f", 7, "length", "")),
        ([{"content-length": "7"}], RemoteFile("f", 7, "length", "")),
    ],
)
def test_a_files_own_headers_tell_what_nothing_else_did(answers, expected):
    assert listing.of_headers(REPO, "f", answers) == expected


@pytest.mark.parametrize(
    "length", ["", "-1", "seven", "9" * 40, "9" * 5000, "0" * 20 + "9" * 40, "²"]
)
def test_a_file_without_a_size_is_refused(length):
    with pytest.raises(HubRefused, match="names no size for 'f'"):
        listing.of_headers(REPO, "f", [{"content-length": length}])
