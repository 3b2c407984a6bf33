"""Private keys in the system's keyring, asked in a child process with a time limit.

A locked keyring or a dead D-Bus blocks for ever, and backends start threads and event loops of
their own; so each question is a short process: `python keyring_child.py get|set|delete`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from byoi_agent.errors import IdentityError, KeyringAway
from byoi_agent.identity.keys import fingerprint_of, from_pem, to_pem

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SERVICE: Final = "byoi node key"
CALL_SECONDS: Final = 5.0
"""How long a keyring has where another store would do as well."""

PATIENT_SECONDS: Final = 30.0
"""How long where none would: a machine that has just started is busy."""

_CHILD: Final = Path(__file__).with_name("keyring_child.py")


class KeyringStore:
    """Keys in the keyring of the user who runs this; refuses backends that keep plain text."""

    name = "keyring"

    def __init__(
        self,
        command: tuple[str, ...] = (sys.executable, "-P", str(_CHILD)),
        seconds: float | None = None,
    ) -> None:
        self._command = command
        self._seconds = CALL_SECONDS if seconds is None else seconds
        self._load_seconds = PATIENT_SECONDS if seconds is None else seconds

    def load(self, fingerprint: str) -> Ed25519PrivateKey | None:
        """The key, or None where the keyring has none of that name.

        Raises:
            KeyringAway: the keyring is locked, absent, silent, or not safe enough.
        """
        try:
            found = self._ask("get", fingerprint, seconds=self._load_seconds)
        except IdentityError as error:
            raise KeyringAway(
                f"the node's key lies in the keyring, which cannot be read now ({error}); sign in "
                "to the desktop, or enrol with a key elsewhere: byoi enroll --replace "
                "--key-store file"
            ) from error
        return None if found is None else from_pem(found.encode(), "the keyring")

    def save(self, key: Ed25519PrivateKey) -> None:
        """Keep it.

        Raises:
            IdentityError: the keyring is locked, absent, silent, or not safe enough.
        """
        self._ask("set", fingerprint_of(key), to_pem(key).decode())

    def delete(self, fingerprint: str) -> None:
        """Forget it.

        Raises:
            IdentityError: as for `save`.
        """
        self._ask("delete", fingerprint)

    def _ask(
        self, action: str, account: str, secret: str | None = None, *, seconds: float | None = None
    ) -> str | None:
        limit = self._seconds if seconds is None else seconds
        # By standard input: arguments can be read by anybody on the machine.
        question = {"action": action, "service": SERVICE, "account": account, "secret": secret}
        try:
            child = subprocess.run(  # noqa: S603 our own interpreter and file
                self._command,
                input=json.dumps(question),
                capture_output=True,
                text=True,
                timeout=limit,
                check=False,
            )
            answer = json.loads(child.stdout)
        except subprocess.TimeoutExpired:
            raise IdentityError(
                f"the keyring has not answered within {limit:.0f} s; unlock it"
            ) from None
        except (OSError, ValueError) as error:
            raise IdentityError("the keyring cannot be asked") from error
        if problem := answer.get("problem"):
            raise IdentityError(f"the keyring cannot be used: {problem}")
        secret = answer.get("secret")
        return secret if isinstance(secret, str) else None
