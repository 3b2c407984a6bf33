"""A machine becomes a node: its join token is taken, its key is proven and kept."""

from __future__ import annotations

import base64
import time
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from byoi_console.accounts.attempts import WrongAttempts
from byoi_console.accounts.audit import Change
from byoi_console.clock import wall_ms
from byoi_console.errors import EnrolmentRefused
from byoi_console.store.identifiers import new_id
from byoi_console.store.tables import node_keys, nodes
from byoi_wire.ids import KeyId, NodeId

if TYPE_CHECKING:
    from collections.abc import Callable

    from byoi_console.accounts.audit import AuditLog
    from byoi_console.nodes.join_tokens import JoinTokens, Leave
    from byoi_console.nodes.keys import ConsoleKeys
    from byoi_console.store.database import Database

PROOF_TAG: Final = b"byoi-enrol-v1\x00"


class HostFacts(BaseModel):
    """What a machine tells of itself at enrolment; unknown fields are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str = Field(default="", max_length=200)
    os: str = Field(default="", max_length=100)
    architecture: str = Field(default="", max_length=100)


class JoinRequest(BaseModel):
    """The body of `POST /agent/v1/token`.

    `public_key` is base64 of 32 raw bytes; `proof` the base64 Ed25519 signature over
    `byoi-enrol-v1`, a zero byte, the join token, a zero byte and the raw public key: whoever sends
    the request holds the private key, and meant this token.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    join_token: str = Field(max_length=256)
    public_key: str = Field(max_length=64)
    proof: str = Field(max_length=128)
    host: HostFacts = HostFacts()


class Enrolled(BaseModel):
    """The answer: who the machine is from now on, and which console to trust."""

    model_config = ConfigDict(frozen=True)

    node_id: NodeId
    key_id: KeyId
    console_key: str
    console_key_id: KeyId
    origin: str


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

    async def join(self, request: JoinRequest, *, peer: str = "") -> Enrolled:
        """Admit the machine that sent `request`; the token's use and the node appear together.

        Raises:
            EnrolmentRefused: the proof or the token is not good, or the key is known already.
            TooManyAttempts: this peer has sent too many of those.
        """
        self._wrong.check(peer)
        try:
            _check_proof(request)
            return await self._admit(request)
        except EnrolmentRefused:
            self._wrong.failed(peer)
            raise

    async def _admit(self, request: JoinRequest) -> Enrolled:
        node_id, key_id = NodeId(new_id("node")), KeyId(new_id("nkey"))
        try:
            async with self._database.write() as connection:
                leave = await self._tokens.take(connection, request.join_token)
                if leave is None:
                    raise EnrolmentRefused(
                        "join_token_invalid", "The join token is unknown, used up or expired."
                    )
                await connection.execute(insert(nodes).values(self._node(node_id, leave, request)))
                key = {"id": key_id, "node_id": node_id, "public_key": request.public_key}
                await connection.execute(
                    insert(node_keys).values(**key, created_at_ms=self._now_ms())
                )
                told = {"join_token": leave.token_id, "host": request.host.model_dump()}
                change = Change(
                    f"join_token:{leave.token_id}", "node.enrolled", node_id, leave.org_id, told
                )
                await self._audit.record(connection, change)
        except IntegrityError as error:
            raise EnrolmentRefused("key_known", "This key belongs to a node already.") from error
        return Enrolled(
            node_id=node_id,
            key_id=key_id,
            console_key=self._keys.public_key,
            console_key_id=self._keys.key_id,
            origin=self._keys.origin,
        )

    def _node(self, node_id: NodeId, leave: Leave, request: JoinRequest) -> dict[str, object]:
        return {
            "id": node_id,
            "org_id": leave.org_id,
            "name": request.host.name or node_id,
            "host": request.host.model_dump_json(),
            "join_token_id": leave.token_id,
            "created_at_ms": self._now_ms(),
            "has_departed": False,
            "epoch": 0,
        }


def _check_proof(request: JoinRequest) -> None:
    try:
        raw = base64.b64decode(request.public_key, validate=True)
        key = Ed25519PublicKey.from_public_bytes(raw)
        signed = PROOF_TAG + request.join_token.encode() + b"\x00" + raw
        key.verify(base64.b64decode(request.proof, validate=True), signed)
    except (ValueError, InvalidSignature) as error:
        raise EnrolmentRefused(
            "proof_invalid", "The proof does not fit the key and the join token."
        ) from error
