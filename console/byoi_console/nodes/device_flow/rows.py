"""What is asked of the table of device codes, each within the caller's transaction."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import func, select

from byoi_console.accounts.attempts import place_of
from byoi_console.errors import TooManyDevices
from byoi_console.nodes import proofs
from byoi_console.nodes.device_flow.machine import Code
from byoi_console.nodes.device_flow.requests import DeviceView, PreviousNode
from byoi_console.nodes.device_flow.user_codes import new_user_code, spelled
from byoi_console.nodes.membership import HostFacts
from byoi_console.store.tables import device_codes, nodes
from byoi_wire.fingerprint import fingerprint, spoken
from byoi_wire.ids import NodeId, OrgId

if TYPE_CHECKING:
    from sqlalchemy import Row
    from sqlalchemy.ext.asyncio import AsyncConnection

    from byoi_console.nodes.device_flow.requests import Approver

PER_ADDRESS: Final = 32
"""Codes that may wait at a time for machines of one address (of IPv6, one network of 64 bits): a
class room, not a flood."""

IN_ALL: Final = 10_000
"""Codes that may wait at a time: one in two million of all there are."""


async def refuse_crowd(connection: AsyncConnection, peer: str, now_ms: int) -> None:
    """Say nothing where one more code may wait.

    Raises:
        TooManyDevices: too many wait already, in all or for this peer.
    """
    waiting = (
        select(device_codes.c.peer, func.count(), func.min(device_codes.c.expires_at_ms))
        .where(device_codes.c.state == "pending")
        .group_by(device_codes.c.peer)
    )
    found = (await connection.execute(waiting)).all()
    place = place_of(peer)
    theirs = [row for row in found if place_of(row[0]) == place]
    for those, limit in ((theirs, PER_ADDRESS), (found, IN_ALL)):
        if sum(count for _, count, _ in those) >= limit:
            raise TooManyDevices((min(ends_ms for _, _, ends_ms in those) - now_ms) / 1000)


async def unused_code(connection: AsyncConnection) -> str:
    """A user code that no other row has; the caller holds the table's lock."""
    while True:
        code = new_user_code(secrets.choice)
        taken = select(device_codes.c.id).where(device_codes.c.user_code == code)
        if (await connection.execute(taken)).first() is None:
            return code


async def previous_nodes(
    connection: AsyncConnection, machine: str | None, approver: Approver
) -> tuple[PreviousNode, ...]:
    """What the machine was before, as far as the approver may say what becomes of it."""
    if machine is None:
        return ()
    query = (
        select(nodes)
        .where(nodes.c.machine == machine, nodes.c.org_id.in_(approver.organisations))
        .where(nodes.c.revoked_at_ms.is_(None), nodes.c.deleted_at_ms.is_(None))
        .order_by(nodes.c.created_at_ms.desc(), nodes.c.id)
    )
    rows = await connection.execute(query)
    return tuple(
        PreviousNode(
            node_id=NodeId(row.id),
            org_id=OrgId(row.org_id),
            name=row.name,
            visibility=row.visibility,
            mode=row.mode,
            last_seen_at_ms=row.last_seen_at_ms,
        )
        for row in rows
    )


def code_of(row: Row[Any]) -> Code:
    """What decides about a row."""
    return Code(row.state, row.expires_at_ms, row.interval_seconds, row.polled_at_ms)


def fingerprint_of(row: Row[Any]) -> str:
    """The machine's key as people compare it."""
    return spoken(fingerprint(proofs.raw_key(row.public_key) or b""))


def view_of(row: Row[Any], previous: tuple[PreviousNode, ...]) -> DeviceView:
    """The waiting machine as its approver sees it."""
    host = HostFacts.model_validate_json(row.host)
    return DeviceView(
        user_code=spelled(row.user_code),
        name=host.name,
        os=host.os,
        architecture=host.architecture,
        gpus=host.gpus,
        agent_version=host.agent_version,
        address=row.peer,
        fingerprint=fingerprint_of(row),
        created_at_ms=row.created_at_ms,
        expires_at_ms=row.expires_at_ms,
        previous=previous,
    )
