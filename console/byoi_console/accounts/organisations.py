"""Organisations: what keys, nodes and ledger rows belong to."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import insert, select

from byoi_console.store.identifiers import new_id
from byoi_console.store.tables import organisations
from byoi_wire.ids import OrgId

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


class Organisation(NamedTuple):
    """An organisation as its people see it."""

    id: OrgId
    name: str


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
