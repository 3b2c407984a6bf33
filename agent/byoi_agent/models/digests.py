"""Digests of files as hubs list them, by which what came is told from what should have come."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, BinaryIO, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

Algorithm = Literal["sha256", "git-sha1", "length"]
"""`length` is for a hub that tells no digest: then there is nothing else to compare."""

_READ_BYTES: Final = 1 << 22


def digest_of(
    stream: BinaryIO,
    algorithm: Algorithm,
    size_bytes: int,
    on_read: Callable[[int], None] = lambda _count: None,
) -> str:
    """A file's digest as the hub has it: SHA-256 of the content, git's name of it, or none.

    `on_read` hears of each part that was read, in bytes.
    """
    if algorithm == "length":
        return ""
    if algorithm == "sha256":
        state = hashlib.sha256()
    else:
        state = hashlib.sha1(b"blob %d\0" % size_bytes, usedforsecurity=False)
    while chunk := stream.read(_READ_BYTES):
        state.update(chunk)
        on_read(len(chunk))
    return state.hexdigest()
