"""One-time links: how administrators come in, and how a lost password is replaced."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from sqlalchemy import insert, select, update

from byoi_console.accounts.audit import Change
from byoi_console.accounts.organisations import checked_name
from byoi_console.accounts.people import Person, checked_email, count_people
from byoi_console.clock import wall_ms
from byoi_console.errors import NotFound
from byoi_console.store.database import hold_lock
from byoi_console.store.identifiers import new_id, secret_hash
from byoi_console.store.tables import members, one_time_links, people
from byoi_wire.ids import OrgId

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import ColumnElement
    from sqlalchemy.ext.asyncio import AsyncConnection

    from byoi_console.accounts.audit import AuditLog
    from byoi_console.accounts.people import People
    from byoi_console.store.database import Database

Purpose = Literal["first-admin", "reset-password", "invitation"]

LIFE_SECONDS: Final = 24 * 3600
_TOKEN_LIMIT: Final = 128


class OpenLink(NamedTuple):
    """A link that can still be used, and whose it is (None: whoever comes first)."""

    purpose: Purpose
    email: str | None


class OneTimeLinks:
    """Owner of the links; of their tokens only hashes are kept.

    A link lives a day, is used once, and ends when a newer one for the same end is made, or when
    the password that it could replace was changed otherwise.
    """

    def __init__(
        self,
        database: Database,
        audit: AuditLog,
        people: People,
        *,
        now_ms: Callable[[], int] = wall_ms,
    ) -> None:
        self._database = database
        self._audit = audit
        self._people = people
        self._now_ms = now_ms

    async def for_first_admin(self) -> str | None:
        """The path of a new set-up link; None: there is a person already."""
        async with self._database.write() as connection:
            if await count_people(connection):
                return None
            token = await self._make(connection, "first-admin", None)
        return f"/setup/{token}"

    async def for_password(self, person: Person) -> str:
        """The path of a new link by which this person chooses another password."""
        async with self._database.write() as connection:
            token = await self._make(connection, "reset-password", person.person_id)
            change = Change("console", "person.reset_offered", person.person_id, person.org_id, {})
            await self._audit.record(connection, change)
        return f"/reset-password/{token}"

    async def for_invitation(self, connection: AsyncConnection, person_id: str) -> str:
        """The path of a new link by which somebody who is invited comes; the former one ends."""
        return f"/invitation/{await self._make(connection, 'invitation', person_id)}"

    async def look(self, token: str, purpose: Purpose) -> OpenLink:
        """A link before it is used.

        Raises:
            NotFound: it is unknown, used, expired, or no longer needed.
        """
        query = (
            select(one_time_links.c.purpose, people.c.email)
            .outerjoin(people, people.c.id == one_time_links.c.person_id)
            .where(*self._usable(token, purpose))
        )
        async with self._database.read() as connection:
            row = (await connection.execute(query)).first()
            if row is None or (purpose == "first-admin" and await count_people(connection)):
                raise _gone()
        return OpenLink(purpose, row.email)

    async def set_up(self, token: str, email: str, org_name: str, password: str) -> Person:
        """Make the first administrator and the organisation; of two who try, one succeeds.

        Raises:
            NotFound: the link is unknown, used, expired, or somebody was faster.
            InputInvalid: a field is not good; the link stays usable.
        """
        email, org_name = checked_email(email), checked_name(org_name)
        await self.look(token, "first-admin")
        hashed = await self._people.hashed(password, email)
        async with self._database.write() as connection:
            await hold_lock(connection, "byoi_first_admin")
            await self._take(connection, token, "first-admin")
            if await count_people(connection):
                raise _gone()
            return await self._people.add(connection, email, hashed, org_name, actor="set-up link")

    async def set_password(self, token: str, password: str, purpose: Purpose) -> Person:
        """Give the link's person a password, the first or another; all their sign-ins end.

        Raises:
            NotFound: the link is unknown, used or expired.
            InputInvalid: the password is not good; the link stays usable.
        """
        link = await self.look(token, purpose)
        hashed = await self._people.hashed(password, link.email or "")
        async with self._database.write() as connection:
            person_id = await self._take(connection, token, purpose)
            person = await _person(connection, person_id)
            await self._people.set_password(connection, person, hashed, actor=person.person_id)
        return person

    async def _make(
        self, connection: AsyncConnection, purpose: Purpose, person_id: str | None
    ) -> str:
        token, now_ms = secrets.token_urlsafe(32), self._now_ms()
        same = (one_time_links.c.purpose == purpose, one_time_links.c.person_id == person_id)
        unused = one_time_links.c.used_at_ms.is_(None)
        ended = update(one_time_links).where(*same, unused).values(expires_at_ms=now_ms)
        await connection.execute(ended)
        row = {
            "id": new_id("link"),
            "token_hash": secret_hash(token),
            "purpose": purpose,
            "person_id": person_id,
            "created_at_ms": now_ms,
            "expires_at_ms": now_ms + LIFE_SECONDS * 1000,
        }
        await connection.execute(insert(one_time_links).values(row))
        return token

    async def _take(self, connection: AsyncConnection, token: str, purpose: Purpose) -> str | None:
        """Use a link within the caller's transaction; one statement, so that one caller wins."""
        usable = self._usable(token, purpose)
        taken = await connection.execute(
            update(one_time_links).where(*usable).values(used_at_ms=self._now_ms())
        )
        if not taken.rowcount:
            raise _gone()
        named = one_time_links.c.token_hash == secret_hash(token)
        query = select(one_time_links.c.person_id).where(named)
        person_id: str | None = (await connection.execute(query)).scalar_one()
        return person_id

    def _usable(self, token: str, purpose: Purpose) -> tuple[ColumnElement[bool], ...]:
        links = one_time_links.c
        return (
            links.token_hash == secret_hash(token[:_TOKEN_LIMIT]),
            links.purpose == purpose,
            links.used_at_ms.is_(None),
            links.expires_at_ms > self._now_ms(),
        )


async def _person(connection: AsyncConnection, person_id: str | None) -> Person:
    query = (
        select(people.c.id, people.c.email, members.c.org_id)
        .join(members, members.c.person_id == people.c.id)
        .where(people.c.id == person_id)
    )
    row = (await connection.execute(query)).first()
    if row is None:
        raise _gone()
    return Person(row.id, OrgId(row.org_id), row.email)


def _gone() -> NotFound:
    return NotFound(
        "This link was used already, has expired, or was replaced by a newer one. "
        "A new one is printed when the console starts, or by `byoi-console admin reset-password`; "
        "who was invited asks to be invited again."
    )
