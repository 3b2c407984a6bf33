"""The nodes that this console knows: whose they are, which keys are theirs, when last seen."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import select, update

from byoi_console.accounts.audit import Change
from byoi_console.clock import wall_ms
from byoi_console.errors import NotFound
from byoi_console.store.tables import node_keys, nodes
from byoi_wire.ids import KeyId, NodeId, OrgId

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Row

    from byoi_console.accounts.audit import AuditLog
    from byoi_console.store.database import Database


@dataclass(frozen=True)
class NodeRecord:
    """One node as the database has it; times are Unix milliseconds."""

    node_id: NodeId
    org_id: OrgId
    name: str
    host: dict[str, Any]
    created_at_ms: int
    last_seen_at_ms: int | None
    has_departed: bool
    revoked_at_ms: int | None
    epoch: int

    @property
    def is_revoked(self) -> bool:
        """Whether its key proves nothing any more."""
        return self.revoked_at_ms is not None


class NodeKey(NamedTuple):
    """A public key of a node; a revoked one still tells whether an old record is genuine."""

    node_id: NodeId
    key: Ed25519PublicKey
    is_revoked: bool


class NodeRecords:
    """Sole owner of the node rows after their enrolment."""

    def __init__(
        self, database: Database, audit: AuditLog, *, now_ms: Callable[[], int] = wall_ms
    ) -> None:
        self._database = database
        self._audit = audit
        self._now_ms = now_ms

    async def get(self, node_id: NodeId) -> NodeRecord | None:
        """One node; None: there is none of that name, or it was deleted."""
        query = select(nodes).where(nodes.c.id == node_id, nodes.c.deleted_at_ms.is_(None))
        async with self._database.read() as connection:
            row = (await connection.execute(query)).first()
        return None if row is None else _record(row)

    async def list(self, org_id: OrgId) -> Sequence[NodeRecord]:
        """An organisation's nodes, oldest first."""
        query = select(nodes).where(nodes.c.org_id == org_id, nodes.c.deleted_at_ms.is_(None))
        async with self._database.read() as connection:
            rows = await connection.execute(query.order_by(nodes.c.created_at_ms, nodes.c.id))
            return [_record(row) for row in rows]

    async def key(self, key_id: KeyId) -> NodeKey | None:
        """A node's public key by its name, whether it still counts or not."""
        query = select(node_keys).where(node_keys.c.id == key_id)
        async with self._database.read() as connection:
            row = (await connection.execute(query)).first()
        if row is None:
            return None
        raw = base64.b64decode(row.public_key)
        return NodeKey(
            NodeId(row.node_id),
            Ed25519PublicKey.from_public_bytes(raw),
            row.revoked_at_ms is not None,
        )

    async def begin_session(self, node_id: NodeId) -> int | None:
        """The epoch of a new session, one above the last; None: revoked or deleted meanwhile."""
        async with self._database.write() as connection:
            taken = await connection.execute(
                update(nodes)
                .where(nodes.c.id == node_id, nodes.c.revoked_at_ms.is_(None))
                .values(epoch=nodes.c.epoch + 1, last_seen_at_ms=self._now_ms(), has_departed=False)
            )
            if not taken.rowcount:
                return None
            query = select(nodes.c.epoch).where(nodes.c.id == node_id)
            return int((await connection.execute(query)).scalar_one())

    async def seen(self, node_ids: Sequence[NodeId]) -> None:
        """These gave a sign of life."""
        if node_ids:
            await self._update(node_ids, has_departed=False)

    async def departed(self, node_id: NodeId, *, with_goodbye: bool) -> None:
        """Its session is over."""
        await self._update([node_id], has_departed=with_goodbye)

    async def revoke(self, node_id: NodeId, actor: str) -> None:
        """Its keys prove nothing from now on; whoever calls ends its session.

        Raises:
            NotFound: there is no such node.
        """
        await self._end(node_id, actor, "node.revoked", {})

    async def delete(self, node_id: NodeId, actor: str) -> None:
        """Revoke it and list it no more; the ledger keeps its name.

        Raises:
            NotFound: there is no such node.
        """
        await self._end(node_id, actor, "node.deleted", {"deleted_at_ms": self._now_ms()})

    async def _end(self, node_id: NodeId, actor: str, action: str, changes: dict[str, int]) -> None:
        now_ms = self._now_ms()
        live = nodes.c.id == node_id, nodes.c.deleted_at_ms.is_(None)
        async with self._database.write() as connection:
            row = (await connection.execute(select(nodes).where(*live))).first()
            if row is None:
                raise NotFound("There is no such node.")
            revoked = {"revoked_at_ms": row.revoked_at_ms or now_ms}
            await connection.execute(update(nodes).where(*live).values({**revoked, **changes}))
            await connection.execute(
                update(node_keys)
                .where(node_keys.c.node_id == node_id, node_keys.c.revoked_at_ms.is_(None))
                .values(revoked_at_ms=now_ms)
            )
            change = Change(actor, action, node_id, row.org_id, {"name": row.name})
            await self._audit.record(connection, change)

    async def _update(self, node_ids: Sequence[NodeId], *, has_departed: bool) -> None:
        query = update(nodes).where(nodes.c.id.in_(node_ids))
        async with self._database.write() as connection:
            await connection.execute(
                query.values(last_seen_at_ms=self._now_ms(), has_departed=has_departed)
            )


def _record(row: Row[Any]) -> NodeRecord:
    return NodeRecord(
        node_id=NodeId(row.id),
        org_id=OrgId(row.org_id),
        name=row.name,
        host=json.loads(row.host) if row.host else {},
        created_at_ms=row.created_at_ms,
        last_seen_at_ms=row.last_seen_at_ms,
        has_departed=row.has_departed,
        revoked_at_ms=row.revoked_at_ms,
        epoch=row.epoch,
    )
