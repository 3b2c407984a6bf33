"""A key that systemd hands to the service (`LoadCredentialEncrypted=device-key`); read only."""

from __future__ import annotations

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
        folder = environment.get("CREDENTIALS_DIRECTORY")
        self._file = Path(folder) / "device-key" if folder else None

    def key(self) -> Ed25519PrivateKey | None:
        """The key that was handed in, if any.

        Raises:
            IdentityError: it cannot be read or is no key.
        """
        if self._file is None or not self._file.exists():
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
