"""Digests of files as hubs list them, by which what came is told from what should have come."""

from __future__ import annotations

import hashlib
from typing import BinaryIO, Final, Literal

Algorithm = Literal["sha256", "git-sha1", "length"]
"""`length` is for a hub that tells no digest: then there is nothing else to compare."""

_READ_BYTES: Final = 1 << 20


def digest_of(stream: BinaryIO, algorithm: Algorithm, size_bytes: int) -> str:
    """A file's digest as the hub has it: SHA-256 of the content, git's name of it, or none."""
    if algorithm == "length":
        return ""
    if algorithm == "sha256":
        return hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]  # typeshed's gap
    state = hashlib.sha1(b"blob %d\0" % size_bytes, usedforsecurity=False)
    while chunk := stream.read(_READ_BYTES):
        state.update(chunk)
    return state.hexdigest()
