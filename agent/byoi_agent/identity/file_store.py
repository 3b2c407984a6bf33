"""Private keys as files that only their owner can read; works everywhere, also headless."""

from __future__ import annotations

from typing import TYPE_CHECKING

from byoi_agent.config.files import make_private_folder, read_private, write_private
from byoi_agent.errors import ConfigError, IdentityError
from byoi_agent.identity.keys import fingerprint_of, from_pem, to_pem

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from byoi_agent.identity.dpapi import Seal


class FileStore:
    """Keys in `folder`, mode 0600 in a folder of mode 0700; sealed where the system can do that."""

    name = "file"

    def __init__(self, folder: Path, seal: Seal | None = None) -> None:
        self._folder = folder
        self._seal = seal

    def load(self, fingerprint: str) -> Ed25519PrivateKey | None:
        """The key, or None where there is no such file.

        Raises:
            IdentityError: others may read the file, or it holds no key.
        """
        path = self._path(fingerprint)
        try:
            data = read_private(path)
            return from_pem(data if self._seal is None else self._seal.open(data), str(path))
        except FileNotFoundError:
            return None
        except ConfigError as error:
            raise IdentityError(str(error)) from error
        except OSError as error:
            raise IdentityError(
                f"{path} was sealed on another machine, or is damaged; enrol this machine anew"
            ) from error

    def save(self, key: Ed25519PrivateKey) -> None:
        """Write it, whole or not at all.

        Raises:
            IdentityError: the folder cannot be used.
        """
        try:
            make_private_folder(self._folder)
            data = to_pem(key)
            if self._seal is not None:
                data = self._seal.close(data)
            write_private(self._path(fingerprint_of(key)), data)
        except (ConfigError, OSError) as error:
            raise IdentityError(f"the key cannot be written to {self._folder}: {error}") from error

    def delete(self, fingerprint: str) -> None:
        """Remove the file."""
        self._path(fingerprint).unlink(missing_ok=True)

    def _path(self, fingerprint: str) -> Path:
        return self._folder / f"{fingerprint}.key"
