"""The node's key in a file that systemd alone opens for the service; root writes and reads it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

from byoi_agent.config.files import write_private
from byoi_agent.errors import IdentityError
from byoi_agent.identity.keys import fingerprint_of, from_pem, to_pem

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PLACE: Final = Path("/etc/credstore.encrypted/byoi.device-key")
"""Where systemd looks for what the unit names: `LoadCredentialEncrypted=device-key:byoi.device-key`
(systemd.exec(5), since version 252)."""

_NAME: Final = "--name=device-key"
"""Sealed into the file: under another name systemd does not open it."""

_TO_NO_FIRMWARE: Final = "--tpm2-pcrs="
"""Where there is a TPM the key is sealed to it, but to none of its registers: by default it would
be lost with the next change of Secure Boot's lists, which come with updates of the system."""

_CALL_SECONDS: Final = 120.0


class SealedFile:
    """Sole owner of the credential's file; `program` is systemd-creds(1)."""

    def __init__(self, file: Path = PLACE, program: str = "systemd-creds") -> None:
        self.file = file
        self._program = program

    def key(self) -> Ed25519PrivateKey | None:
        """The key that is sealed there, None where nothing is.

        Raises:
            IdentityError: this machine cannot open it; the message says why.
        """
        return self._opened(self.file) if self.file.exists() else None

    def seal(self, key: Ed25519PrivateKey) -> None:
        """Seal this key there, once it is shown that it can be opened again.

        Raises:
            IdentityError: it cannot; what was there before is there still.
        """
        data = self._call("encrypt", _NAME, _TO_NO_FIRMWARE, "-", "-", given=to_pem(key))
        try:
            self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._check(data, fingerprint_of(key))
            self.put_back(data)
        except OSError as error:
            raise IdentityError(f"{self.file} cannot be written: {error.strerror}") from error

    def contents(self) -> bytes | None:
        """The file as it is, for `put_back`; None where there is none."""
        try:
            return self.file.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise IdentityError(f"{self.file} cannot be read: {error.strerror}") from error

    def put_back(self, contents: bytes | None) -> None:
        """Have the file be as it was; None takes it away."""
        if contents is None:
            self.file.unlink(missing_ok=True)
        else:
            write_private(self.file, contents)

    def _check(self, data: bytes, fingerprint: str) -> None:
        draft = self.file.with_name(f".{self.file.name}.new")
        write_private(draft, data)
        try:
            if fingerprint_of(self._opened(draft)) != fingerprint:
                raise IdentityError(f"{self._program} opens another key than it sealed")
        finally:
            draft.unlink(missing_ok=True)

    def _opened(self, file: Path) -> Ed25519PrivateKey:
        opened = self._call("decrypt", _NAME, str(file), "-")
        return from_pem(opened, f"the credential in {self.file}")

    def _call(self, *words: str, given: bytes | None = None) -> bytes:
        """What the program says; a key goes in and out by pipes alone."""
        try:
            done = subprocess.run(  # noqa: S603 a list of words, no shell
                (self._program, *words),
                input=b"" if given is None else given,
                capture_output=True,
                timeout=_CALL_SECONDS,
                check=False,
            )
        except FileNotFoundError as error:
            raise IdentityError(
                f"there is no program {self._program} here, which comes with systemd 252 or newer "
                "(on some systems in a package of its own); the key stays where it is"
            ) from error
        except subprocess.TimeoutExpired as error:
            raise IdentityError(
                f"{self._program} did not end within {_CALL_SECONDS:g} seconds; try again"
            ) from error
        if done.returncode != 0:
            said = " ".join(done.stderr.decode(errors="replace").split())
            raise IdentityError(f"{self._program} {words[0]} failed: {said or done.returncode}")
        return done.stdout
