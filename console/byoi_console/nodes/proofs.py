"""What a machine signs at each of the console's doors but the link's, and whether it did. Pure."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

if TYPE_CHECKING:
    from byoi_wire.ids import NodeId

PROOF_TAG: Final = b"byoi-enrol-v1\x00"
DEVICE_TAG: Final = b"byoi-device-v1\x00"
ROTATE_TAG: Final = b"byoi-rotate-v1\x00"
UNENROL_TAG: Final = b"byoi-unenrol-v1\x00"

_KEY_BYTES: Final = 32


def raw_key(public_key: str) -> bytes | None:
    """The 32 bytes that a public key's base64 stands for; None: it is none."""
    try:
        raw = base64.b64decode(public_key, validate=True)
    except ValueError:
        return None
    return raw if len(raw) == _KEY_BYTES else None


def written(raw: bytes) -> str:
    """The one spelling under which a key is kept; base64 has several for the same bytes."""
    return base64.b64encode(raw).decode()


def enrolment(secret: str, raw: bytes) -> bytes:
    """Signed to redeem a join token or a device code: this key, by this leave."""
    return PROOF_TAG + secret.encode() + b"\x00" + raw


def device(raw: bytes) -> bytes:
    """Signed to begin the device flow: whoever asks holds the key."""
    return DEVICE_TAG + raw


def rotation(origin: str, node_id: NodeId, raw: bytes) -> bytes:
    """Signed by the old key and the new one: this one follows that one, here and for this node."""
    return ROTATE_TAG + origin.encode() + b"\x00" + node_id.encode() + b"\x00" + raw


def unenrolment(origin: str, node_id: NodeId, at_ms: int) -> bytes:
    """Signed to give the node's place back, at that moment."""
    return UNENROL_TAG + b"\x00".join((origin.encode(), node_id.encode(), str(at_ms).encode()))


def is_signed(raw: bytes, signature: str, message: bytes) -> bool:
    """Whether `signature` (base64) is this key's over `message`."""
    try:
        key = Ed25519PublicKey.from_public_bytes(raw)
        key.verify(base64.b64decode(signature, validate=True), message)
    except (ValueError, InvalidSignature):
        return False
    return True
