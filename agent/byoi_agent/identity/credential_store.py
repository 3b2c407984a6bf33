"""A key that systemd hands to the service (`LoadCredentialEncrypted=device-key`); read only."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from byoi_agent.errors import IdentityError
from byoi_agent.identity.keys import fingerprint_of, from_pem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


class CredentialStore:
    """The one key in `$CREDENTIALS_DIRECTORY/device-key`; whoever sealed it there owns it."""

    name = "credential"

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._file = credential(environment, "device-key")

    def key(self) -> Ed25519PrivateKey | None:
        """The key that was handed in, if any.

        Raises:
            IdentityError: it cannot be read or is no key.
        """
        if self._file is None:
            return None
        try:
            return from_pem(self._file.read_bytes(), "the credential device-key")
        except OSError as error:
            raise IdentityError(f"the credential device-key cannot be read: {error}") from error

    def load(self, fingerprint: str) -> Ed25519PrivateKey | None:
        """The key, where it is the one of that name."""
        key = self.key()
        return key if key is not None and fingerprint_of(key) == fingerprint else None

    def save(self, key: Ed25519PrivateKey) -> None:
        """Only the key that is there already can be kept here.

        Raises:
            IdentityError: it is another one; a service cannot seal a credential.
        """
        if self.load(fingerprint_of(key)) is None:
            raise IdentityError("a systemd credential cannot be written by the service itself")

    def delete(self, fingerprint: str) -> None:
        """Nothing: only the administrator can take a credential away."""


def credential(environment: Mapping[str, str], name: str) -> Path | None:
    """The file in which systemd hands over a credential, None where it hands over none.

    systemd 252 leaves an empty folder to root alone, though the service is told of it.
    """
    folder = environment.get("CREDENTIALS_DIRECTORY")
    if not folder or not os.access(folder, os.X_OK):
        return None
    file = Path(folder) / name
    return file if file.exists() else None
