"""Passwords: which ones are taken, and their argon2 hashes."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from byoi_console.errors import InputInvalid

if TYPE_CHECKING:
    from collections.abc import Callable

SHORTEST: Final = 12
LONGEST_BYTES: Final = 1024


def check_password(password: str, email: str) -> None:
    """Say nothing where somebody may choose this password.

    Length is what makes a password hard to guess (NIST SP 800-63B, 3.1.1): no classes of
    characters are asked for.

    Raises:
        InputInvalid: it is too short, too long, no text, or the email itself.
    """
    if len(password) < SHORTEST:
        raise InputInvalid(f"A password has at least {SHORTEST} characters.", "password")
    try:
        length = len(password.encode())
    except UnicodeEncodeError as error:  # of bytes on standard input that are no text
        raise InputInvalid("A password is text in UTF-8.", "password") from error
    if length > LONGEST_BYTES:
        raise InputInvalid(f"A password has at most {LONGEST_BYTES:,} bytes.", "password")
    if password.strip().lower() in {email.lower(), email.lower().partition("@")[0]}:
        raise InputInvalid("The password must not be the email.", "password")
    if len(set(password)) == 1:
        raise InputInvalid("The password must not be one character again and again.", "password")


class Passwords:
    """Makes and checks the hashes.

    Argon2 takes tens of milliseconds and 64 MiB on purpose, so at most two passwords are looked at
    at a time, in threads; further ones wait.
    """

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._turn = asyncio.Semaphore(2)
        # Verified when nobody has the email, so that the time taken does not tell.
        self._nobody: str | None = None

    async def hash(self, password: str) -> str:
        """What is kept of a password."""
        async with self._turn:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def fits(
        self, hashed: str | None, password: str, *, check: Callable[[], None] = lambda: None
    ) -> bool:
        """Whether this is the password; None takes the same time and never fits.

        `check` is asked when the turn has come, and may raise: of many that were sent at once, the
        first ones may have spent all the tries that there are.
        """
        if len(password.encode(errors="surrogatepass")) > LONGEST_BYTES:
            return False
        async with self._turn:
            check()
            if self._nobody is None:
                self._nobody = await asyncio.to_thread(self._hasher.hash, secrets.token_hex(16))
            try:
                fits = await asyncio.to_thread(
                    self._hasher.verify, hashed or self._nobody, password
                )
            except (VerificationError, InvalidHashError):
                return False
        return fits and hashed is not None
