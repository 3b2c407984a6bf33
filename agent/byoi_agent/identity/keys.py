"""The node's Ed25519 key and the places where its private half can lie."""

from __future__ import annotations

import base64
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from byoi_agent.errors import IdentityError
from byoi_wire.fingerprint import fingerprint

if TYPE_CHECKING:
    from byoi_wire.ids import KeyId, NodeId


@dataclass(frozen=True)
class Identity:
    """Who this node is, and to which console it belongs.

    `origin` is what the console called itself at enrolment: a challenge that names another one is
    never answered. `console_key` is pinned. `key_store` names where the private key lies. A
    `successor` is the same node with the key that shall follow, known to the console already.
    """

    node_id: NodeId
    key_id: KeyId
    key: Ed25519PrivateKey
    console_key: Ed25519PublicKey
    console_key_id: KeyId
    origin: str
    console_url: str
    key_store: str = "file"
    successor: Identity | None = None

    def with_successor(self, successor: Identity | None) -> Identity:
        """The same, and who is to follow."""
        return replace(self, successor=successor)


class KeyStore(Protocol):
    """A place for private keys, each under the fingerprint of its public half. All calls block."""

    @property
    def name(self) -> str:
        """What `byoi status` calls it."""
        ...

    def load(self, fingerprint: str) -> Ed25519PrivateKey | None:
        """The key, or None where this store has none of that name.

        Raises:
            IdentityError: it is there and cannot be used, or the store cannot be reached.
        """
        ...

    def save(self, key: Ed25519PrivateKey) -> None:
        """Keep a key for good.

        Raises:
            IdentityError: this store cannot; try the next one.
        """
        ...

    def delete(self, fingerprint: str) -> None:
        """Forget a key; none of that name is fine."""
        ...


def raw_public_key(key: Ed25519PrivateKey | Ed25519PublicKey) -> bytes:
    """The 32 bytes of a public key."""
    public = key.public_key() if isinstance(key, Ed25519PrivateKey) else key
    return public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def fingerprint_of(key: Ed25519PrivateKey | Ed25519PublicKey) -> str:
    """Sixteen hex digits of the public key's SHA-256: a name for it, not a proof."""
    return fingerprint(raw_public_key(key))


def public_key_text(key: Ed25519PrivateKey | Ed25519PublicKey) -> str:
    """Base64 of the public key's 32 bytes, as consoles and records have it."""
    return base64.b64encode(raw_public_key(key)).decode()


def public_key_from(text: str) -> Ed25519PublicKey:
    """A public key from the base64 of its 32 bytes.

    Raises:
        IdentityError: it is something else.
    """
    try:
        return Ed25519PublicKey.from_public_bytes(base64.b64decode(text, validate=True))
    except ValueError as error:
        raise IdentityError("not an Ed25519 public key in base64") from error


def to_pem(key: Ed25519PrivateKey) -> bytes:
    """The private key as PKCS #8 without a passphrase: whoever holds the text holds the node."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def from_pem(pem: bytes, where: str) -> Ed25519PrivateKey:
    """The private key in `pem`.

    Raises:
        IdentityError: it is no Ed25519 key; `where` is named, the text never.
    """
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # Without the cause: its text could quote the key.
        raise IdentityError(f"{where} holds no usable private key; enrol again") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise IdentityError(f"{where} holds a key of another kind; enrol again")
    return key
