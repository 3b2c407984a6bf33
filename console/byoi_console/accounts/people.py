"""People: an email, a password that only its argon2 hash is kept of, a role in an organisation."""

from __future__ import annotations

import base64
import secrets
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from sqlalchemy import exists, func, insert, select, update

from byoi_console.accounts.attempts import WrongAttempts, place_of
from byoi_console.accounts.audit import Change
from byoi_console.accounts.organisations import first_organisation
from byoi_console.accounts.passwords import Passwords, check_password
from byoi_console.accounts.principal import Principal
from byoi_console.accounts.sign_ins import end_sign_ins, places_of, refuse_former
from byoi_console.clock import wall_ms
from byoi_console.errors import InputInvalid, NotFound, Unauthenticated
from byoi_console.store.identifiers import new_id
from byoi_console.store.tables import members, one_time_links, organisations, people
from byoi_wire.ids import OrgId

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.ext.asyncio import AsyncConnection

    from byoi_console.accounts.audit import AuditLog
    from byoi_console.store.database import Database

NO_PASSWORD: Final = ""
"""Kept of somebody who has none (any more): it is no hash of anything, so that nothing fits it."""

_CREDENTIALS_LIMIT: Final = 2048
_EMAIL_LIMIT: Final = 320
_USUAL_MS: Final = 30 * 24 * 3600 * 1000
"""How long an address counts as one that a person comes from."""


class NewAdmin(NamedTuple):
    """A person just made; the password is not kept anywhere else."""

    person_id: str
    org_id: OrgId
    email: str
    password: str


class Person(NamedTuple):
    """Somebody who may sign in, and the organisation that they look at first.

    `password_hash` is that of the password which they have just shown, if they have.
    """

    person_id: str
    org_id: OrgId
    email: str
    password_hash: str | None = None


class People:
    """Makes and recognises people; sole owner of their passwords."""

    def __init__(
        self,
        database: Database,
        audit: AuditLog,
        *,
        passwords: Passwords | None = None,
        now_ms: Callable[[], int] = wall_ms,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._audit = audit
        self._now_ms = now_ms
        self._passwords = passwords or Passwords()
        self._wrong = WrongAttempts(5, 20.0, monotonic)

    @property
    def wrong_passwords(self) -> int:
        """How many were refused since the start."""
        return self._wrong.total

    async def create_admin(self, email: str) -> NewAdmin:
        """A new administrator of the first organisation, with a random password.

        Raises:
            InputInvalid: this is no email address, or somebody has it already.
        """
        email = checked_email(email)
        password = secrets.token_urlsafe(18)
        hashed = await self._passwords.hash(password)
        async with self._database.write() as connection:
            name = email.partition("@")[2]
            person = await self.add(connection, email, hashed, name, actor="console")
        return NewAdmin(person.person_id, person.org_id, email, password)

    async def hashed(self, password: str, email: str) -> str:
        """What is kept of a password that somebody chooses.

        Raises:
            InputInvalid: it is too easy to guess, or too long.
        """
        check_password(password, email)
        return await self._passwords.hash(password)

    async def add(
        self, connection: AsyncConnection, email: str, hashed: str, org_name: str, *, actor: str
    ) -> Person:
        """An administrator of the first organisation, within the caller's transaction.

        Whoever was taken out comes back as who they were, so that the audit log knows them.

        Raises:
            InputInvalid: somebody has this email already, or is invited with it.
        """
        now_ms = self._now_ms()
        person_id = await place_for(connection, email, hashed, now_ms)
        org_id = await first_organisation(connection, org_name, now_ms)
        member = {"person_id": person_id, "org_id": org_id, "role": "admin"}
        await connection.execute(insert(members).values(member))
        change = Change(actor, "person.created", person_id, org_id, {"role": "admin"})
        await self._audit.record(connection, change)
        return Person(person_id, org_id, email)

    async def email_of(self, person_id: str) -> str | None:
        """Somebody's email; None: there is nobody of that name, it may be an API key's."""
        query = select(people.c.email).where(people.c.id == person_id)
        async with self._database.read() as connection:
            return await connection.scalar(query)

    async def is_anybody_here(self) -> bool:
        """Whether a first administrator has been made."""
        async with self._database.read() as connection:
            return await count_people(connection) > 0

    async def named(self, email: str) -> Person:
        """The administrator who has this email.

        Raises:
            NotFound: there is none.
        """
        person, _ = await self._find(email.strip().lower())
        if person is None:
            raise NotFound(f"Nobody here has the email {email.strip().lower()}.")
        return person

    async def sign_in(self, email: str, password: str, *, peer: str = "") -> Person:
        """The administrator who has this email and password.

        Where the person has signed in from lately, wrong ones from elsewhere hold nobody up: else
        whoever knows an email could keep its owner out.

        Raises:
            Unauthenticated: nobody has them both.
            TooManyAttempts: too many wrong ones from this peer or for this email.
        """
        email = email.strip().lower()[:_EMAIL_LIMIT]
        self._wrong.check(peer)
        person, hashed = await self._find(email)
        places = [peer]
        if not await self._is_usual(person, peer):
            # An email may be any text, an address as well: failures of the one are not the other's.
            places.append(f"email {email}")

        def check() -> None:
            for place in places:
                self._wrong.check(place)

        check()
        if not await self._passwords.fits(hashed, password, check=check) or person is None:
            self._wrong.failed(*places)  # before the next one's turn begins
            raise Unauthenticated("Wrong email or password.")
        return person._replace(password_hash=hashed)

    async def authenticate(self, authorization: str, *, peer: str = "") -> Principal:
        """The administrator behind an HTTP Basic `Authorization` value.

        Raises:
            Unauthenticated: it is malformed, or no administrator has this email and password.
            TooManyAttempts: too many wrong ones from this peer or for this email.
        """
        email, password = _credentials(authorization)
        person = await self.sign_in(email, password, peer=peer)
        return Principal(key_id=person.person_id, org_id=person.org_id, scope="admin")

    async def change_password(
        self, email: str, current: str, new: str, *, keep: str, peer: str = ""
    ) -> None:
        """Have a signed-in person choose another password; every other sign-in of theirs ends.

        Args:
            email: whose.
            current: the password until now.
            new: the one from now on.
            keep: the sign-in that stays.
            peer: the address that the request came from.

        Raises:
            InputInvalid: the current one is wrong, also by now, or the new one is not good enough.
            TooManyAttempts: too many wrong ones from this peer or for this email.
        """
        try:
            person = await self.sign_in(email, current, peer=peer)
            hashed = await self.hashed(new, email)
            async with self._database.write() as connection:
                await refuse_former(connection, person.person_id, person.password_hash)
                by = person.person_id
                await self.set_password(connection, person, hashed, actor=by, keep=keep)
        except Unauthenticated as error:
            raise InputInvalid("The current password is wrong.", "current") from error

    async def set_password(
        self,
        connection: AsyncConnection,
        person: Person,
        hashed: str,
        *,
        actor: str,
        keep: str | None = None,
    ) -> None:
        """Another password within the caller's transaction.

        Sign-ins end, save the one to keep, and so do links by which it could be changed again.
        """
        query = update(people).where(people.c.id == person.person_id)
        await connection.execute(query.values(password_hash=hashed))
        await end_sign_ins(connection, person.person_id, self._now_ms(), but=keep)
        await end_links(connection, person.person_id, self._now_ms())
        change = Change(actor, "person.password_set", person.person_id, person.org_id, {})
        await self._audit.record(connection, change)

    async def _is_usual(self, person: Person | None, peer: str) -> bool:
        since_ms = self._now_ms() - _USUAL_MS
        # Looked for nobody as well, so that the time taken does not tell.
        person_id = "" if person is None else person.person_id
        async with self._database.read() as connection:
            places = await places_of(connection, person_id, since_ms)
        return bool(peer) and place_of(peer) in places

    async def _find(self, email: str) -> tuple[Person | None, str | None]:
        query = (
            select(people.c.id, people.c.email, people.c.password_hash, members.c.org_id)
            .join(members, members.c.person_id == people.c.id)
            .join(organisations, organisations.c.id == members.c.org_id)
            .where(people.c.email == email, members.c.role == "admin")
            .order_by(organisations.c.created_at_ms, organisations.c.id)
        )
        async with self._database.read() as connection:
            row = (await connection.execute(query)).first()
        if row is None:
            return None, None
        return Person(row.id, OrgId(row.org_id), row.email), row.password_hash


async def place_for(connection: AsyncConnection, email: str, hashed: str, now_ms: int) -> str:
    """The id of a person who is about to belong here, within the caller's transaction.

    Somebody who was taken out is the same one, whose time here begins anew.

    Raises:
        InputInvalid: the email is that of somebody who belongs here, or is invited.
    """
    is_here = exists().where(members.c.person_id == people.c.id)
    query = select(people.c.id, people.c.password_hash, is_here.label("is_here"))
    known = (await connection.execute(query.where(people.c.email == email))).first()
    row = {"password_hash": hashed, "created_at_ms": now_ms}
    if known is None:
        person_id = new_id("person")
        await connection.execute(insert(people).values(id=person_id, email=email, **row))
        return person_id
    if known.is_here and known.password_hash != NO_PASSWORD:
        raise InputInvalid(f"{email} has an account already.", "email")
    if known.is_here:
        raise InputInvalid(
            f"{email} is invited already and has not come yet. A link by which they come: "
            f"byoi-console admin reset-password --email {email}",
            "email",
        )
    await connection.execute(update(people).where(people.c.id == known.id).values(row))
    return str(known.id)


async def count_people(connection: AsyncConnection) -> int:
    """How many people this console knows."""
    return int((await connection.execute(select(func.count()).select_from(people))).scalar_one())


async def end_links(connection: AsyncConnection, person_id: str, now_ms: int) -> None:
    """End every link by which a person could choose a password, within the caller's transaction."""
    theirs = one_time_links.c.person_id == person_id, one_time_links.c.used_at_ms.is_(None)
    still = one_time_links.c.expires_at_ms > now_ms
    await connection.execute(
        update(one_time_links).where(*theirs, still).values(expires_at_ms=now_ms)
    )


def checked_email(email: str) -> str:
    """An email as it is kept.

    Raises:
        InputInvalid: this is none.
    """
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
