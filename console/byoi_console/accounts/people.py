"""People: an email, a password that only its argon2 hash is kept of, a role in an organisation."""

from __future__ import annotations

import asyncio
import base64
import secrets
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import insert, select

from byoi_console.accounts.attempts import WrongAttempts
from byoi_console.accounts.audit import Change
from byoi_console.accounts.organisations import first_organisation
from byoi_console.accounts.principal import Principal
from byoi_console.clock import wall_ms
from byoi_console.errors import InputInvalid, Unauthenticated
from byoi_console.store.identifiers import new_id
from byoi_console.store.tables import members, people
from byoi_wire.ids import OrgId

if TYPE_CHECKING:
    from collections.abc import Callable

    from byoi_console.accounts.audit import AuditLog
    from byoi_console.store.database import Database

_CREDENTIALS_LIMIT: Final = 2048
_EMAIL_LIMIT: Final = 320


class NewAdmin(NamedTuple):
    """A person just made; the password is not kept anywhere else."""

    person_id: str
    org_id: OrgId
    email: str
    password: str


class People:
    """Makes and recognises people.

    Argon2 takes tens of milliseconds and 64 MiB on purpose, so at most two passwords are checked
    at a time, in threads; further ones wait.
    """

    def __init__(
        self,
        database: Database,
        audit: AuditLog,
        *,
        now_ms: Callable[[], int] = wall_ms,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._audit = audit
        self._now_ms = now_ms
        self._hasher = PasswordHasher()
        self._hashing = asyncio.Semaphore(2)
        self._wrong = WrongAttempts(5, 20.0, monotonic)
        # Verified when nobody has the email, so that the time taken does not tell.
        self._nobody: str | None = None

    async def create_admin(self, email: str) -> NewAdmin:
        """A new administrator of the first organisation, with a random password.

        Raises:
            InputInvalid: this is no email address, or somebody has it already.
        """
        email = _checked_email(email)
        password = secrets.token_urlsafe(18)
        async with self._hashing:
            hashed = await asyncio.to_thread(self._hasher.hash, password)
        async with self._database.write() as connection:
            taken = select(people.c.id).where(people.c.email == email)
            if (await connection.execute(taken)).first():
                raise InputInvalid(f"{email} has an account already.", "email")
            now_ms = self._now_ms()
            org_id = await first_organisation(connection, email.partition("@")[2], now_ms)
            person = {"id": new_id("person"), "email": email, "password_hash": hashed}
            await connection.execute(insert(people).values(**person, created_at_ms=now_ms))
            member = {"person_id": person["id"], "org_id": org_id, "role": "admin"}
            await connection.execute(insert(members).values(member))
            change = Change("console", "person.created", person["id"], org_id, {"role": "admin"})
            await self._audit.record(connection, change)
        return NewAdmin(person["id"], org_id, email, password)

    async def authenticate(self, authorization: str, *, peer: str = "") -> Principal:
        """The administrator behind an HTTP Basic `Authorization` value.

        Raises:
            Unauthenticated: it is malformed, or no administrator has this email and password.
            TooManyAttempts: too many wrong ones from this peer or for this email.
        """
        email, password = _credentials(authorization)
        for place in (peer, email):
            self._wrong.check(place)
        found = (
            select(people.c.id, people.c.password_hash, members.c.org_id)
            .join(members, members.c.person_id == people.c.id)
            .where(people.c.email == email, members.c.role == "admin")
        )
        async with self._database.read() as connection:
            row = (await connection.execute(found)).first()
        if not await self._fits(row.password_hash if row else None, password) or row is None:
            for place in (peer, email):
                self._wrong.failed(place)
            raise Unauthenticated("Wrong email or password.")
        return Principal(key_id=row.id, org_id=OrgId(row.org_id), scope="admin")

    async def _fits(self, hashed: str | None, password: str) -> bool:
        async with self._hashing:
            if hashed is None and self._nobody is None:
                self._nobody = await asyncio.to_thread(self._hasher.hash, secrets.token_hex(16))
            try:
                return await asyncio.to_thread(
                    self._hasher.verify, hashed or self._nobody or "", password
                )
            except (VerificationError, InvalidHashError):
                return False


def _checked_email(email: str) -> str:
    email = email.strip().lower()
    name, _, domain = email.partition("@")
    if not name or not domain or len(email) > _EMAIL_LIMIT or not email.isprintable():
        raise InputInvalid("That is not an email address.", "email")
    return email


def _credentials(authorization: str) -> tuple[str, str]:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic" or len(encoded) > _CREDENTIALS_LIMIT:
        raise Unauthenticated("Give an email and its password.")
    try:
        email, colon, password = (
            base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
        )
    except ValueError as error:
        raise Unauthenticated("Give an email and its password.") from error
    if not colon:
        raise Unauthenticated("Give an email and its password.")
    return email.lower(), password
