"""Names of new rows, and the hash under which a secret is kept."""

from __future__ import annotations

import hashlib
import secrets


def new_id(kind: str) -> str:
    """A name that nobody else has, readable as to what it names: `node_3f…`."""
    return f"{kind}_{secrets.token_hex(12)}"


def secret_hash(secret: str) -> str:
    """What is stored of a key or token: enough to find it by, nothing to use it with.

    A plain SHA-256 is right for secrets of 192 random bits and more; a password needs argon2.
    """
    return hashlib.sha256(secret.encode()).hexdigest()
