"""A machine becomes a node: its join token is taken, its key is proven and kept."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from byoi_console.accounts.attempts import WrongAttempts
from byoi_console.accounts.audit import Change
from byoi_console.clock import wall_ms
from byoi_console.errors import EnrolmentRefused
from byoi_console.nodes import proofs
from byoi_console.nodes.membership import (
    KEY_KNOWN,
    MACHINE_PATTERN,
    Enrolled,
    HostFacts,
    Newcomer,
    add_node,
    enrolled_as,
    host_as_kept,
)
from byoi_console.store.tables import node_keys, nodes
from byoi_wire.ids import NodeId

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.ext.asyncio import AsyncConnection

    from byoi_console.accounts.audit import AuditLog
    from byoi_console.nodes.join_tokens import JoinTokens
    from byoi_console.nodes.keys import ConsoleKeys
    from byoi_console.store.database import Database

_AGAIN_MS: Final = 10 * 60_000
"""How long an answer that was lost can be asked for again."""


class JoinRequest(BaseModel):
    """The body of `POST /agent/v1/token` with a join token.

    `public_key` is base64 of 32 raw bytes; `proof` the base64 Ed25519 signature over
    `byoi-enrol-v1`, a zero byte, the join token, a zero byte and the raw public key: whoever sends
    the request holds the private key, and meant this token. `machine` is kept and decides nothing:
    clones of one image share it, so no join token takes a node over.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    join_token: str = Field(max_length=256)
    public_key: str = Field(max_length=64)
    proof: str = Field(max_length=128)
    host: HostFacts = HostFacts()
    machine: str | None = Field(default=None, pattern=MACHINE_PATTERN)


class Enrolment:
    """Admits machines by join token."""

    def __init__(
        self,
        database: Database,
        audit: AuditLog,
        tokens: JoinTokens,
        keys: ConsoleKeys,
        *,
        now_ms: Callable[[], int] = wall_ms,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._audit = audit
        self._tokens = tokens
        self._keys = keys
        self._now_ms = now_ms
        self._wrong = WrongAttempts(20, 3.0, monotonic)
        # Per key: behind one address a whole fleet may join, and each of it once.
        self._admissions = WrongAttempts(20, 3.0, monotonic)

    @property
    def wrong_tokens(self) -> int:
        """How many requests to join were refused since the start."""
        return self._wrong.total

    async def join(self, request: JoinRequest, *, peer: str = "") -> Enrolled:
        """Admit the machine that sent `request`; the token's use and the node appear together.

        Whoever did not hear the answer asks the same again, and gets it without a second use.

        Raises:
            EnrolmentRefused: the proof or the token is not good, or the key is known already.
            TooManyAttempts: this peer has sent too many of those, or this key was admitted so
                often that no lost answer explains it.
        """
        self._wrong.check(peer)
        try:
            public_key = _proven_key(request)
            self._admissions.check(public_key)
            enrolled = await self._admit(request, public_key)
        except EnrolmentRefused:
            self._wrong.failed(peer)
            raise
        self._admissions.failed(public_key)
        return enrolled

    async def _admit(self, request: JoinRequest, public_key: str) -> Enrolled:
        try:
            async with self._database.write() as connection:
                if (before := await self._admitted(connection, request, public_key)) is not None:
                    return before
                leave = await self._tokens.take(connection, request.join_token)
                if leave is None:
                    raise EnrolmentRefused(
                        "join_token_invalid",
                        "The join token is unknown, used up, expired or revoked.",
                    )
                newcomer = Newcomer(
                    org_id=leave.org_id,
                    public_key=public_key,
                    host=request.host,
                    machine=request.machine,
                    join_token_id=leave.token_id,
                )
                node_id = await add_node(connection, newcomer, self._now_ms())
                told = {"join_token": leave.token_id, "host": request.host.model_dump()}
                change = Change(
                    f"join_token:{leave.token_id}", "node.enrolled", node_id, leave.org_id, told
                )
                await self._audit.record(connection, change)
                enrolled = await enrolled_as(connection, node_id, public_key, self._keys)
        except IntegrityError as error:
            raise EnrolmentRefused("key_known", KEY_KNOWN) from error
        assert enrolled is not None, "the row was written in this transaction"
        return enrolled

    async def _admitted(
        self, connection: AsyncConnection, request: JoinRequest, public_key: str
    ) -> Enrolled | None:
        """The node that this token has made of this machine a moment ago, if it was not here yet.

        What else has the key is another machine: clones of one image may hold the same sealed one,
        and tell a name or an identity of their own.
        """
        token_id = await self._tokens.id_of(connection, request.join_token)
        since_ms = self._now_ms() - _AGAIN_MS
        query = (
            select(nodes.c.id)
            .join(node_keys, node_keys.c.node_id == nodes.c.id)
            .where(nodes.c.join_token_id == token_id, nodes.c.revoked_at_ms.is_(None))
            .where(node_keys.c.public_key == public_key, node_keys.c.first_used_at_ms.is_(None))
            .where(node_keys.c.created_at_ms >= since_ms)
            .where(nodes.c.host == host_as_kept(request.host))
            .where(nodes.c.machine.is_not_distinct_from(request.machine))
        )
        node_id = None if token_id is None else await connection.scalar(query)
        if node_id is None:
            return None
        return await enrolled_as(connection, NodeId(node_id), public_key, self._keys)


def _proven_key(request: JoinRequest) -> str:
    raw = proofs.raw_key(request.public_key)
    if raw is None or not proofs.is_signed(
        raw, request.proof, proofs.enrolment(request.join_token, raw)
    ):
        raise EnrolmentRefused(
            "proof_invalid", "The proof does not fit the key and the join token."
        )
    return proofs.written(raw)
