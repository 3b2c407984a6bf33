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
from byoi_console.nodes.membership import host_of
from byoi_console.store.tables import node_keys, nodes
from byoi_wire.fingerprint import fingerprint, spoken
from byoi_wire.ids import KeyId, ModelId, NodeId, OrgId

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy import Row
    from sqlalchemy.ext.asyncio import AsyncConnection

    from byoi_console.accounts.audit import AuditLog
    from byoi_console.nodes.membership import Mode, Visibility
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
    machine: str | None = None
    visibility: Visibility = "org"
    mode: Mode = "dedicated"
    enrolled_by: str | None = None
    drained_at_ms: int | None = None
    rotation_ordered_at_ms: int | None = None

    @property
    def is_revoked(self) -> bool:
        """Whether its key proves nothing any more."""
        return self.revoked_at_ms is not None


class NodeKey(NamedTuple):
    """A public key of a node; a revoked one still tells whether an old record is genuine."""

    node_id: NodeId
    key: Ed25519PublicKey
    is_revoked: bool


class Begun(NamedTuple):
    """A new session of a node; `shall_rotate`: an administrator wants it to have a new key."""

    epoch: int
    shall_rotate: bool


class KeyFacts(NamedTuple):
    """A node's key as people see it; times are Unix milliseconds.

    `first_used_at_ms` None: no link was ever proven with it. `revoked_at_ms` None: it still proves
    who the node is.
    """

    key_id: KeyId
    fingerprint: str
    created_at_ms: int
    first_used_at_ms: int | None
    revoked_at_ms: int | None


class LastOffer(NamedTuple):
    """What a node offered when it was last here."""

    node_id: NodeId
    org_id: OrgId
    models: tuple[ModelId, ...]


@dataclass(frozen=True)
class NodeChanges:
    """What an administrator may change of a node; None leaves a thing as it is."""

    name: str | None = None
    visibility: Visibility | None = None
    mode: Mode | None = None


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

    async def keys(self, node_ids: Sequence[NodeId]) -> Mapping[NodeId, tuple[KeyFacts, ...]]:
        """Every key that each of these nodes has or had, oldest first."""
        found: dict[NodeId, tuple[KeyFacts, ...]] = dict.fromkeys(node_ids, ())
        query = select(node_keys).where(node_keys.c.node_id.in_(node_ids))
        async with self._database.read() as connection:
            rows = await connection.execute(
                query.order_by(node_keys.c.created_at_ms, node_keys.c.id)
            )
            for row in rows:
                found[NodeId(row.node_id)] += (_key_facts(row),)
        return found

    async def begin_session(self, node_id: NodeId, key_id: KeyId) -> Begun | None:
        """A new session, its epoch one above the last; None: node or key ended meanwhile.

        A new key's first use ends the keys before it: whatever they signed stays checkable.
        """
        now_ms = self._now_ms()
        async with self._database.write() as connection:
            if not await self._use_key(connection, node_id, key_id, now_ms):
                return None
            taken = await connection.execute(
                update(nodes)
                .where(nodes.c.id == node_id, nodes.c.revoked_at_ms.is_(None))
                .values(epoch=nodes.c.epoch + 1, last_seen_at_ms=now_ms, has_departed=False)
            )
            if not taken.rowcount:
                return None
            query = select(nodes.c.epoch, nodes.c.rotation_ordered_at_ms)
            row = (await connection.execute(query.where(nodes.c.id == node_id))).one()
            return Begun(row.epoch, row.rotation_ordered_at_ms is not None)

    async def _use_key(
        self, connection: AsyncConnection, node_id: NodeId, key_id: KeyId, now_ms: int
    ) -> bool:
        mine = node_keys.c.node_id == node_id, node_keys.c.revoked_at_ms.is_(None)
        query = select(node_keys).where(*mine, node_keys.c.id == key_id).with_for_update()
        key = (await connection.execute(query)).first()
        if key is None or key.first_used_at_ms is not None:
            return key is not None
        this = node_keys.c.id == key_id
        await connection.execute(update(node_keys).where(this).values(first_used_at_ms=now_ms))
        if key.replaces is not None:
            before = update(node_keys).where(*mine, node_keys.c.id != key_id)
            await connection.execute(before.values(revoked_at_ms=now_ms))
            done = update(nodes).where(nodes.c.id == node_id)
            await connection.execute(done.values(rotation_ordered_at_ms=None))
        return True

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

    async def change(self, node_id: NodeId, changes: NodeChanges, actor: str) -> None:
        """Another name, visibility or mode.

        Raises:
            NotFound: there is no such node.
        """
        wanted = {name: value for name, value in vars(changes).items() if value is not None}
        await self._set(node_id, actor, "node.changed", wanted)

    async def drain(self, node_id: NodeId, is_drained: bool, actor: str) -> None:
        """It shall get nothing new until it is told otherwise; the registry is told by others.

        Raises:
            NotFound: there is no such node.
        """
        at_ms = self._now_ms() if is_drained else None
        action = "node.drained" if is_drained else "node.undrained"
        await self._set(node_id, actor, action, {"drained_at_ms": at_ms})

    async def order_rotation(self, node_id: NodeId, actor: str) -> None:
        """It shall make itself a new key; the order stands until a new key was used.

        Raises:
            NotFound: there is no such node, or it is revoked.
        """
        ordered = {"rotation_ordered_at_ms": self._now_ms()}
        await self._set(node_id, actor, "node.rotation_ordered", ordered, unrevoked=True)

    async def drained(self) -> Sequence[NodeId]:
        """Every node that gets nothing new, for the registry of a console that starts."""
        query = select(nodes.c.id).where(nodes.c.drained_at_ms.is_not(None))
        async with self._database.read() as connection:
            return [NodeId(row.id) for row in await connection.execute(query)]

    async def offer(self, offers: Mapping[NodeId, Sequence[str]]) -> None:
        """What these offer now, so that a console that starts knows what may come back."""
        async with self._database.write() as connection:
            for node_id, models in offers.items():
                query = update(nodes).where(nodes.c.id == node_id)
                await connection.execute(query.values(last_models=json.dumps(models)))

    async def offered_since(self, at_ms: int) -> Sequence[LastOffer]:
        """What standing nodes offered when they were last here."""
        query = select(nodes.c.id, nodes.c.org_id, nodes.c.last_models).where(
            nodes.c.revoked_at_ms.is_(None),
            nodes.c.last_models.is_not(None),
            nodes.c.last_seen_at_ms >= at_ms,
        )
        async with self._database.read() as connection:
            return [
                LastOffer(
                    NodeId(row.id),
                    OrgId(row.org_id),
                    tuple(ModelId(model) for model in json.loads(row.last_models)),
                )
                for row in await connection.execute(query)
            ]

    async def _set(
        self,
        node_id: NodeId,
        actor: str,
        action: str,
        changes: dict[str, Any],
        *,
        unrevoked: bool = False,
    ) -> None:
        live = [nodes.c.id == node_id, nodes.c.deleted_at_ms.is_(None)]
        if unrevoked:
            live.append(nodes.c.revoked_at_ms.is_(None))
        async with self._database.write() as connection:
            row = (await connection.execute(select(nodes).where(*live))).mappings().first()
            if row is None:
                raise NotFound("There is no such node.")
            before = {name: row[name] for name in changes}
            if before == changes:
                return
            await connection.execute(update(nodes).where(*live).values(changes))
            told = {"before": before, "after": changes}
            await self._audit.record(
                connection, Change(actor, action, node_id, row["org_id"], told)
            )

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
        host=host_of(row.host),
        created_at_ms=row.created_at_ms,
        last_seen_at_ms=row.last_seen_at_ms,
        has_departed=row.has_departed,
        revoked_at_ms=row.revoked_at_ms,
        epoch=row.epoch,
        machine=row.machine,
        visibility=row.visibility,
        mode=row.mode,
        enrolled_by=row.enrolled_by,
        drained_at_ms=row.drained_at_ms,
        rotation_ordered_at_ms=row.rotation_ordered_at_ms,
    )


def _key_facts(row: Row[Any]) -> KeyFacts:
    return KeyFacts(
        key_id=KeyId(row.id),
        fingerprint=spoken(fingerprint(base64.b64decode(row.public_key))),
        created_at_ms=row.created_at_ms,
        first_used_at_ms=row.first_used_at_ms,
        revoked_at_ms=row.revoked_at_ms,
    )
