"""Who administers an organisation: further people come by invitation, and may be taken out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import delete, func, insert, select, update

from byoi_console.accounts.audit import Change
from byoi_console.accounts.people import NO_PASSWORD, checked_email, end_links, place_for
from byoi_console.accounts.sign_ins import end_sign_ins
from byoi_console.clock import wall_ms
from byoi_console.errors import InputInvalid, NotFound
from byoi_console.store.database import hold_lock
from byoi_console.store.tables import members, one_time_links, people

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Row
    from sqlalchemy.ext.asyncio import AsyncConnection

    from byoi_console.accounts.audit import AuditLog
    from byoi_console.accounts.one_time_links import OneTimeLinks
    from byoi_console.store.database import Database
    from byoi_wire.ids import OrgId

_LOCK = "byoi_colleagues"


class Colleague(NamedTuple):
    """Somebody who administers an organisation, or is invited to; times are Unix milliseconds.

    `invited_until_ms` is None once they have come, and lies behind us where they never did.
    """

    person_id: str
    email: str
    since_ms: int
    invited_until_ms: int | None


class Colleagues:
    """Owner of who belongs to an organisation after its first administrator."""

    def __init__(
        self,
        database: Database,
        audit: AuditLog,
        links: OneTimeLinks,
        *,
        now_ms: Callable[[], int] = wall_ms,
    ) -> None:
        self._database = database
        self._audit = audit
        self._links = links
        self._now_ms = now_ms

    async def list(self, org_id: OrgId) -> Sequence[Colleague]:
        """All of them, the first one first."""
        until = (
            select(func.max(one_time_links.c.expires_at_ms))
            .where(one_time_links.c.person_id == people.c.id)
            .where(one_time_links.c.used_at_ms.is_(None))
            .scalar_subquery()
        )
        query = (
            select(people, until.label("until_ms"))
            .join(members, members.c.person_id == people.c.id)
            .where(members.c.org_id == org_id)
            .order_by(people.c.created_at_ms, people.c.id)
        )
        async with self._database.read() as connection:
            return [_colleague(row) for row in await connection.execute(query)]

    async def invite(self, org_id: OrgId, email: str, actor: str) -> str:
        """The path of a link by which the owner of an email becomes an administrator.

        Whoever was invited before and has not come gets another link; the former one ends.

        Raises:
            InputInvalid: that is no email, or somebody has an account with it.
        """
        email = checked_email(email)
        async with self._database.write() as connection:
            await hold_lock(connection, _LOCK)
            person_id = await self._place_for(connection, org_id, email)
            path = await self._links.for_invitation(connection, person_id)
            told = {"email": email, "role": "admin"}
            change = Change(actor, "person.invited", person_id, org_id, told)
            await self._audit.record(connection, change)
        return path

    async def remove(self, org_id: OrgId, person_id: str, actor: str) -> None:
        """Take somebody out: their sign-ins and links end at once, and so does their password.

        Raises:
            InputInvalid: it is oneself, so that somebody is always left.
            NotFound: there is no such person, or whoever says so was just taken out themselves.
        """
        if person_id == actor:
            raise InputInvalid("Nobody takes themselves out: another administrator has to.")
        now_ms = self._now_ms()
        async with self._database.write() as connection:
            await hold_lock(connection, _LOCK)  # of two who remove each other, one stays
            for each in (actor, person_id):
                if not await _is_member(connection, org_id, each):
                    raise NotFound("There is no such person.")
            theirs = members.c.person_id == person_id, members.c.org_id == org_id
            await connection.execute(delete(members).where(*theirs))
            # They may be invited again, and then choose another one.
            ended = update(people).where(people.c.id == person_id)
            await connection.execute(ended.values(password_hash=NO_PASSWORD))
            await end_sign_ins(connection, person_id, now_ms)
            await end_links(connection, person_id, now_ms)
            change = Change(actor, "person.removed", person_id, org_id, {})
            await self._audit.record(connection, change)

    async def _place_for(self, connection: AsyncConnection, org_id: OrgId, email: str) -> str:
        query = select(people.c.id).where(people.c.email == email)
        has_not_come = people.c.password_hash == NO_PASSWORD
        invited = await connection.scalar(query.where(has_not_come))
        if invited is not None and await _is_member(connection, org_id, invited):
            return str(invited)
        person_id = await place_for(connection, email, NO_PASSWORD, self._now_ms())
        member = {"person_id": person_id, "org_id": org_id, "role": "admin"}
        await connection.execute(insert(members).values(member))
        return person_id


async def _is_member(connection: AsyncConnection, org_id: OrgId, person_id: str) -> bool:
    query = select(members.c.person_id).where(
        members.c.org_id == org_id, members.c.person_id == person_id
    )
    return (await connection.execute(query)).first() is not None


def _colleague(row: Row[Any]) -> Colleague:
    has_come = row.password_hash != NO_PASSWORD
    until_ms = None if has_come else (row.until_ms or row.created_at_ms)
    return Colleague(row.id, row.email, row.created_at_ms, until_ms)
