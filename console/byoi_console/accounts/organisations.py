"""Organisations: what keys, nodes and ledger rows belong to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from sqlalchemy import insert, select, update

from byoi_console.accounts.audit import Change
from byoi_console.errors import InputInvalid, NotFound
from byoi_console.store.identifiers import new_id
from byoi_console.store.tables import organisations
from byoi_wire.ids import OrgId

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from byoi_console.accounts.audit import AuditLog
    from byoi_console.store.database import Database

_NAME_LIMIT: Final = 200


class Organisation(NamedTuple):
    """An organisation as its people see it."""

    id: OrgId
    name: str


class Organisations:
    """Sole owner of what organisations are called."""

    def __init__(self, database: Database, audit: AuditLog) -> None:
        self._database = database
        self._audit = audit

    async def rename(self, org_id: OrgId, name: str, actor: str) -> None:
        """Call an organisation something else.

        Raises:
            InputInvalid: that is no name.
            NotFound: there is no such organisation.
        """
        name = checked_name(name)
        named = organisations.c.id == org_id
        async with self._database.write() as connection:
            query = select(organisations.c.name).where(named)
            before = (await connection.execute(query)).scalar_one_or_none()
            if before is None:
                raise NotFound("There is no such organisation.")
            await connection.execute(update(organisations).where(named).values(name=name))
            told = {"before": before, "after": name}
            change = Change(actor, "organisation.renamed", org_id, org_id, told)
            await self._audit.record(connection, change)


def checked_name(name: str) -> str:
    """An organisation's name as it is kept.

    Raises:
        InputInvalid: it is empty, too long, or holds what cannot be printed.
    """
    name = " ".join(name.split())
    if not name or len(name) > _NAME_LIMIT or not name.isprintable():
        raise InputInvalid(f"A name has 1 to {_NAME_LIMIT} characters.", "organisation")
    return name


async def first_organisation(connection: AsyncConnection, name: str, now_ms: int) -> OrgId:
    """The oldest organisation; made under `name` where there is none yet."""
    oldest = select(organisations.c.id).order_by(organisations.c.created_at_ms).limit(1)
    found = (await connection.execute(oldest)).scalar_one_or_none()
    if found is not None:
        return OrgId(found)
    org_id = OrgId(new_id("org"))
    row = {"id": org_id, "name": name, "created_at_ms": now_ms}
    await connection.execute(insert(organisations).values(row))
    return org_id
