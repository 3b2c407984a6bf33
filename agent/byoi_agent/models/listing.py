"""What a repository holds, from whichever of a hub's answers tells it.

Hubs and mirrors differ: huggingface.co tells sizes and digests in the list itself, some tell them
in the tree only, and others with each file. All of it is from outside, and bounded here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from byoi_agent.models.hub_errors import HubRefused, HubUnreachable
from byoi_agent.models.names import is_commit
from byoi_agent.models.selection import RemoteFile

if TYPE_CHECKING:
    from collections.abc import Mapping

    from byoi_agent.models.digests import Algorithm

_LISTED_FILES: Final = 100_000
_LARGEST_FILE_BYTES: Final = 1 << 50
_SIZE: Final = re.compile("[0-9]{1,16}")
"""As headers have it; int() refuses texts of thousands of digits."""
_DIGEST_LENGTHS: Final[Mapping[int, Algorithm]] = {64: "sha256", 40: "git-sha1"}

Told = dict[str, RemoteFile | None]
"""Files by name; None where the hub has not told a size and a digest yet."""


@dataclass(frozen=True)
class Listing:
    """What a repository holds at one commit."""

    repo: str
    commit: str
    files: tuple[RemoteFile, ...]


def of_list(repo: str, content: Any, endpoint: str) -> tuple[str, list[tuple[str, Any]]]:  # noqa: ANN401 JSON from outside
    """The commit, and the files' names with what the list says of each.

    Raises:
        HubUnreachable: it is no list of a hub's.
        HubRefused: it is longer than any model's.
    """
    commit = content.get("sha") if isinstance(content, dict) else None
    siblings = content.get("siblings") if isinstance(content, dict) else None
    if not is_commit(commit) or not isinstance(siblings, list):
        raise HubUnreachable(f"{endpoint} does not list files as a hub does")
    if len(siblings) > _LISTED_FILES:
        raise HubRefused(f"{repo} lists {len(siblings)} files, so it is no model to serve")
    return str(commit), [(_name(repo, one, "rfilename"), one) for one in siblings]


def of_tree(repo: str, content: Any) -> Told:  # noqa: ANN401 JSON from outside
    """Files as a page of the tree tells them; nothing of what is no file.

    Raises:
        HubRefused: a size or digest that cannot be.
    """
    entries = content if isinstance(content, list) else []
    return {
        _name(repo, one, "path"): told(repo, one, "path", "oid")
        for one in entries
        if isinstance(one, dict) and one.get("type", "file") == "file"
    }


def told(repo: str, entry: Any, name_key: str, blob_key: str) -> RemoteFile | None:  # noqa: ANN401 JSON from outside
    """A file with its size and digest; None where the answer leaves out one of them.

    Large files have a SHA-256, others git's name of their content.

    Raises:
        HubRefused: what it tells cannot be.
    """
    name, size, lfs = entry[name_key], entry.get("size"), entry.get("lfs")
    if isinstance(lfs, dict):
        size, digest = lfs.get("size", size), lfs.get("sha256", lfs.get("oid"))
    else:
        digest = entry.get(blob_key)
    if size is None or digest is None:
        return None
    if not _is_size(size) or not _is_digest(digest) or len(digest) != (64 if lfs else 40):
        raise HubRefused(f"the hub's size or digest of {name!r:.80} in {repo} cannot be")
    return RemoteFile(name, size, "sha256" if lfs else "git-sha1", digest.lower())


def of_headers(repo: str, name: str, answers: list[Mapping[str, str]]) -> RemoteFile:
    """A file as the headers tell it: of the hub's own answer first, then of where it sends us.

    `X-Linked-Size` and `X-Linked-Etag` are huggingface.co's, `X-Checksum-Sha256` Artifactory's. An
    ETag that is no digest tells none; the file's length is then all that can be compared.

    Raises:
        HubRefused: they tell no length.
    """
    linked = _first(answers, "x-linked-size")
    size = linked or str(answers[-1].get("content-length", ""))
    if not _SIZE.fullmatch(size) or not _is_size(int(size)):
        raise HubRefused(f"the hub names no size for {name!r:.80} of {repo}")
    names = ("x-checksum-sha256", "x-linked-etag", "etag")
    tags = [_first(answers, one).removeprefix("W/").strip('"') for one in names]
    digest = next((tag for tag in tags if _is_digest(tag)), "")
    return RemoteFile(name, int(size), _DIGEST_LENGTHS.get(len(digest), "length"), digest.lower())


def _first(answers: list[Mapping[str, str]], header: str) -> str:
    return next((str(one[header]) for one in answers if header in one), "")


def _name(repo: str, entry: Any, key: str) -> str:  # noqa: ANN401 JSON from outside
    name = entry.get(key) if isinstance(entry, dict) else None
    if not isinstance(name, str):
        raise HubRefused(f"the hub lists a file of {repo} that has no name ({name!r:.80})")
    return name


def _is_size(value: object) -> bool:
    return type(value) is int and 0 <= value <= _LARGEST_FILE_BYTES


def _is_digest(value: object) -> bool:
    return (
        isinstance(value, str)
        and len(value) in _DIGEST_LENGTHS
        and all(digit in "0123456789abcdef" for digit in value.lower())
    )
