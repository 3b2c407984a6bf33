"""A public key's name for people: the same words at the node, in the console and in the docs."""

from __future__ import annotations

import hashlib

_GROUP = 4


def fingerprint(raw_public_key: bytes) -> str:
    """Sixteen hex digits of the key's SHA-256: a name to compare, not a proof."""
    return hashlib.sha256(raw_public_key).hexdigest()[:16]


def spoken(name: str) -> str:
    """A fingerprint as people compare it, four digits at a time: `1f2a-0805-2bb6-5365`."""
    return "-".join(name[at : at + _GROUP] for at in range(0, len(name), _GROUP))
