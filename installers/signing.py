"""Keys of a release, and what is made with them: raw signatures, SSH's, and DSSE envelopes.

All are Ed25519. A folder of keys holds one private key per purpose (PEM, PKCS #8, mode 0600);
docs/releasing.md says how it is made and kept.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import struct
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives import serialization as forms
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

if TYPE_CHECKING:
    from pathlib import Path

RELEASE = "release"
PURPOSES = (RELEASE, "root", "targets", "snapshot", "timestamp")
"""`release` signs checksums and provenance, the others are the roles of the index."""

SIGNER = "byoi-release"
"""Whom SSH's signature names, and its namespace: one for another purpose does not pass for it."""

DEVELOPMENT = "DEVELOPMENT"
"""A file of that name says that the keys beside it were made on the spot."""

ARMOUR_COLUMNS = 70


class KeysError(Exception):
    """A folder of keys that cannot be used; the message says what to do."""


class Keys:
    """Private keys by purpose, read when they are needed: not every machine has every one.

    Of a purpose that several people sign for, each has a folder; the first one that has a key for
    it counts where one signature is enough.
    """

    def __init__(self, *folders: Path) -> None:
        self.folders = folders
        self.folder = folders[0]

    @property
    def are_for_development(self) -> bool:
        """Whether they were made on the spot, for a build that nobody shall trust."""
        return any((folder / DEVELOPMENT).exists() for folder in self.folders)

    def path(self, purpose: str) -> Path:
        """Where the key is kept, the first one."""
        places = [folder / f"{purpose}.key" for folder in self.folders]
        return next((place for place in places if place.exists()), places[0])

    def all(self, purpose: str) -> list[Ed25519PrivateKey]:
        """One of each folder that has a key for the purpose. Raises as `private`."""
        kept = [Keys(each) for each in self.folders if (each / f"{purpose}.key").exists()]
        return [keys.private(purpose) for keys in kept] or [self.private(purpose)]

    def private(self, purpose: str) -> Ed25519PrivateKey:
        """The key for one purpose.

        Raises:
            KeysError: it is missing, readable for others, or not an Ed25519 key.
        """
        path = self.path(purpose)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise KeysError(
                f"{path} cannot be read ({error.strerror}); `python installers/index.py keys "
                f"{self.folder}` makes a folder of keys"
            ) from error
        if os.name == "posix" and path.stat().st_mode & 0o077:
            raise KeysError(f"{path} can be read by others; chmod 600 {path}")
        try:
            key = forms.load_pem_private_key(data, password=None)
        except (ValueError, TypeError) as error:
            raise KeysError(f"{path} is no private key in PEM without a passphrase") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise KeysError(f"{path} is no Ed25519 key")
        return key


def make_key(path: Path) -> None:
    """A new private key in a file that only its owner reads.

    Raises:
        KeysError: there is one already; none is ever overwritten.
    """
    data = Ed25519PrivateKey.generate().private_bytes(
        forms.Encoding.PEM, forms.PrivateFormat.PKCS8, forms.NoEncryption()
    )
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise KeysError(f"{path} is there already, and a key is never overwritten") from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def make_keys(folder: Path, *, development: bool = False) -> Keys:
    """A folder with a key for every purpose.

    Raises:
        KeysError: one of them is there already.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for purpose in PURPOSES:
        make_key(folder / f"{purpose}.key")
    if development:
        (folder / DEVELOPMENT).write_text("Made on the spot: nobody trusts what these sign.\n")
    return Keys(folder)


def public_pem(key: Ed25519PublicKey) -> bytes:
    """As `openssl pkeyutl -pubin` reads it."""
    return key.public_bytes(forms.Encoding.PEM, forms.PublicFormat.SubjectPublicKeyInfo)


def raw(key: Ed25519PublicKey) -> bytes:
    """Its 32 bytes."""
    return key.public_bytes(forms.Encoding.Raw, forms.PublicFormat.Raw)


def key_id(key: Ed25519PublicKey) -> str:
    """A short name for it: the SHA-256 of its 32 bytes."""
    return hashlib.sha256(raw(key)).hexdigest()


def ssh_signature(key: Ed25519PrivateKey, message: bytes, namespace: str = SIGNER) -> str:
    """An armoured signature for `ssh-keygen -Y verify`.

    The form is OpenSSH's PROTOCOL.sshsig: what is signed is the namespace and SHA-512 of the
    message, so a signature of the release's checksums can stand for nothing else.
    """
    digest = hashlib.sha512(message).digest()
    signed = b"SSHSIG" + b"".join(map(_string, (namespace.encode(), b"", b"sha512", digest)))
    public = _string(b"ssh-ed25519") + _string(raw(key.public_key()))
    signature = _string(b"ssh-ed25519") + _string(key.sign(signed))
    fields = (public, namespace.encode(), b"", b"sha512", signature)
    blob = b"SSHSIG" + struct.pack(">I", 1) + b"".join(map(_string, fields))
    text = base64.b64encode(blob).decode()
    lines = [text[at : at + ARMOUR_COLUMNS] for at in range(0, len(text), ARMOUR_COLUMNS)]
    return "\n".join(["-----BEGIN SSH SIGNATURE-----", *lines, "-----END SSH SIGNATURE-----", ""])


def _string(data: bytes) -> bytes:
    """As SSH writes one (RFC 4251, section 5)."""
    return struct.pack(">I", len(data)) + data


def envelope(key: Ed25519PrivateKey, statement: dict[str, Any]) -> dict[str, Any]:
    """A statement in a DSSE envelope, signed."""
    payload = json.dumps(statement, sort_keys=True, separators=(",", ":")).encode()
    signature = key.sign(pre_authentication(payload))
    return {
        "payloadType": PAYLOAD_TYPE,
        "payload": base64.b64encode(payload).decode(),
        "signatures": [
            {"keyid": key_id(key.public_key()), "sig": base64.b64encode(signature).decode()}
        ],
    }


PAYLOAD_TYPE = "application/vnd.in-toto+json"


def pre_authentication(payload: bytes) -> bytes:
    """What a DSSE envelope's signature is made over (DSSE v1, PAE)."""
    kind = PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
