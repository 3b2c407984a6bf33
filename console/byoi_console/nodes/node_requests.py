"""What a node asks for outside its link, signed with its key: another key, or to be let go."""

from __future__ import annotations

import base64
import time
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from byoi_console.accounts.attempts import WrongAttempts
from byoi_console.accounts.audit import Change
from byoi_console.clock import wall_ms
from byoi_console.errors import EnrolmentRefused, TooManyAttempts
from byoi_console.nodes import proofs
from byoi_console.nodes.membership import KEY_KNOWN
from byoi_console.store.identifiers import new_id
from byoi_console.store.tables import node_keys, nodes
from byoi_wire.ids import KeyId, NodeId

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import RowMapping
    from sqlalchemy.ext.asyncio import AsyncConnection

    from byoi_console.accounts.audit import AuditLog
    from byoi_console.store.database import Database

CLOCK_MS: Final = 10 * 60 * 1000
"""How far a node's clock may be off ours when it asks to be let go: a kept request grows stale."""


class UnenrolRequest(BaseModel):
    """The body of `POST /agent/v1/unenroll`.

    `signature`: base64 Ed25519 by the node's key over `byoi-unenrol-v1`, the console's origin, the
    node's id and `at_ms` (Unix milliseconds), with zero bytes between them.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    node_id: str = Field(max_length=64)
    key_id: str = Field(max_length=64)
    at_ms: int = Field(ge=0, le=2**53)
    signature: str = Field(max_length=128)


class KeyRequest(BaseModel):
    """The body of `POST /agent/v1/keys`.

    `signature` by the key that `key_id` names and `proof` by the new one are base64 Ed25519 over
    the same: `byoi-rotate-v1`, the console's origin, the node's id and the new public key's raw
    bytes, with zero bytes between them.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    node_id: str = Field(max_length=64)
    key_id: str = Field(max_length=64)
    public_key: str = Field(max_length=64)
    proof: str = Field(max_length=128)
    signature: str = Field(max_length=128)


class NodeRequests:
    """Takes them once the signature is proven; the same one again gets the same answer."""

    def __init__(
        self,
        database: Database,
        audit: AuditLog,
        origin: str,
        disconnect: Callable[[NodeId], None],
        *,
        now_ms: Callable[[], int] = wall_ms,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._audit = audit
        self._origin = origin
        self._disconnect = disconnect
        self._now_ms = now_ms
        self._wrong = WrongAttempts(20, 3.0, monotonic)
        self._rotations = WrongAttempts(10, 60.0, monotonic)

    async def unenrol(self, request: UnenrolRequest, *, peer: str = "") -> None:
        """Delete the node that asks; the ledger keeps its name, and its session ends at once.

        Raises:
            EnrolmentRefused: it is not the node's signature of these minutes.
            TooManyAttempts: this peer has sent too many of those.
        """
        self._wrong.check(peer)
        try:
            await self._unenrol(request)
        except EnrolmentRefused:
            self._wrong.failed(peer)
            raise
        self._disconnect(NodeId(request.node_id))

    async def _unenrol(self, request: UnenrolRequest) -> None:
        node_id, now_ms = NodeId(request.node_id), self._now_ms()
        message = proofs.unenrolment(self._origin, node_id, request.at_ms)
        async with self._database.write() as connection:
            key = await _signer(connection, request.node_id, request.key_id)
            _check(key, request.signature, message)
            if key["deleted_at_ms"] is not None:
                return  # done, and the answer was lost
            if abs(now_ms - request.at_ms) > CLOCK_MS:
                raise EnrolmentRefused(
                    "clock_differs",
                    "This machine's clock and the console's differ by more than ten minutes.",
                )
            if key["node_revoked_at_ms"] is None:
                _refuse_ended(key)
            ended = {"revoked_at_ms": key["node_revoked_at_ms"] or now_ms, "deleted_at_ms": now_ms}
            await connection.execute(update(nodes).where(nodes.c.id == node_id).values(ended))
            live = node_keys.c.node_id == node_id, node_keys.c.revoked_at_ms.is_(None)
            await connection.execute(update(node_keys).where(*live).values(revoked_at_ms=now_ms))
            told = {"name": key["name"], "key": request.key_id}
            change = Change(node_id, "node.unenrolled", node_id, key["org_id"], told)
            await self._audit.record(connection, change)

    async def rotate(self, request: KeyRequest, *, peer: str = "") -> KeyId:
        """Take the node's new key; it and the one before are good until the new one is used.

        Raises:
            EnrolmentRefused: a signature is not good, or the new key is known already.
            TooManyAttempts: this peer has sent too many of those, or this node too many keys.
        """
        self._wrong.check(peer)
        try:
            return await self._rotate(request)
        except IntegrityError as error:
            raise EnrolmentRefused("key_known", KEY_KNOWN) from error
        except EnrolmentRefused:
            self._wrong.failed(peer)
            raise

    async def _rotate(self, request: KeyRequest) -> KeyId:
        node_id = NodeId(request.node_id)
        raw = proofs.raw_key(request.public_key)
        message = proofs.rotation(self._origin, node_id, raw or b"")
        if raw is None or not proofs.is_signed(raw, request.proof, message):
            raise EnrolmentRefused("proof_invalid", "The proof does not fit the new key.")
        new = {"node_id": node_id, "public_key": proofs.written(raw), "replaces": request.key_id}
        async with self._database.write() as connection:
            key = await _signer(connection, request.node_id, request.key_id)
            _check(key, request.signature, message)
            same = [node_keys.c[name] == value for name, value in new.items()]
            known = (await connection.execute(select(node_keys.c.id).where(*same))).first()
            if known is not None:
                return KeyId(known.id)
            _refuse_ended(key)
            self._count_rotation(node_id)
            new_key = KeyId(new_id("nkey"))
            # A new key that was never used has signed nothing: nobody will ask for it again.
            unused = node_keys.c.first_used_at_ms.is_(None), node_keys.c.id != request.key_id
            pending = node_keys.c.node_id == node_id, node_keys.c.replaces.is_not(None)
            await connection.execute(delete(node_keys).where(*pending, *unused))
            row = {"id": new_key, **new, "created_at_ms": self._now_ms()}
            await connection.execute(insert(node_keys).values(row))
            told = {"replaces": request.key_id, "key": new_key}
            change = Change(node_id, "node.key_rotated", node_id, key["org_id"], told)
            await self._audit.record(connection, change)
        return new_key

    def _count_rotation(self, node_id: NodeId) -> None:
        try:
            self._rotations.check(node_id)
        except TooManyAttempts as many:
            message = "This node has made too many new keys; wait before the next one."
            raise TooManyAttempts(many.retry_after_seconds, message) from many
        self._rotations.failed(node_id)


async def _signer(connection: AsyncConnection, node_id: str, key_id: str) -> RowMapping:
    query = (
        select(
            nodes.c.org_id,
            nodes.c.name,
            nodes.c.deleted_at_ms,
            nodes.c.revoked_at_ms.label("node_revoked_at_ms"),
            node_keys.c.public_key,
            node_keys.c.revoked_at_ms,
        )
        .join(node_keys, node_keys.c.node_id == nodes.c.id)
        .where(nodes.c.id == node_id, node_keys.c.id == key_id)
    )
    row = (await connection.execute(query)).mappings().first()
    if row is None:
        raise EnrolmentRefused("key_unknown", "This console does not know that key of that node.")
    return row


def _check(key: RowMapping, signature: str, message: bytes) -> None:
    if not proofs.is_signed(base64.b64decode(key["public_key"]), signature, message):
        raise EnrolmentRefused("proof_invalid", "The signature does not fit the node's key.")


def _refuse_ended(key: RowMapping) -> None:
    if key["node_revoked_at_ms"] is not None:
        raise EnrolmentRefused("node_revoked", "This node was revoked.")
    if key["revoked_at_ms"] is not None:
        raise EnrolmentRefused("key_replaced", "This key was replaced by a newer one.")
