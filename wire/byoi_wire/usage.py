"""What one attempt at one request used: the record that a node signs and a console books.

The signature is Ed25519 over `byoi-usage-v1`, a zero byte and the record's bytes exactly as sent,
so that nobody ever has to agree on a canonical form of JSON.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Annotated, Final, Literal

from cryptography.exceptions import InvalidSignature
from pydantic import BaseModel, ConfigDict, Field

from byoi_wire.errors import SignatureInvalid
from byoi_wire.ids import KeyId, ModelId, NodeId, RecordId, RequestId

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

_TAG: Final = b"byoi-usage-v1\x00"

Count = Annotated[int, Field(ge=0, le=2**53)]
"""A number of things; bounded by what every JSON reader and every database keeps exactly."""

Outcome = Literal["complete", "cancelled", "failed"]
CountedBy = Literal["engine", "tokenizer", "events", "none"]


class Usage(BaseModel):
    """Tokens of one attempt, in OpenAI's terms."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    prompt_tokens: Count = 0
    completion_tokens: Count = 0
    cached_tokens: Count = 0
    reasoning_tokens: Count = 0


class UsageRecord(BaseModel):
    """One attempt, whatever became of it; `(request_id, attempt)` is its key for ever.

    `counted_by` says where the token counts come from: the engine's own `usage`, its tokenizer run
    over what was sent before a cut, the number of content events when the engine was dead, or
    nothing at all. Times are milliseconds; `started_at_ms` is the node's wall clock (Unix).
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    request_id: RequestId
    attempt: int = Field(ge=1, le=2**31)
    ticket: str
    node_id: NodeId
    model: ModelId
    route: str
    outcome: Outcome
    status: int = Field(ge=0, le=999)
    usage: Usage
    counted_by: CountedBy
    finish_reason: str | None = None
    error_code: str | None = None
    started_at_ms: Count
    first_token_ms: float | None = None
    duration_ms: float
    sent_bytes: Count = 0
    joules: float | None = None

    @property
    def record_id(self) -> RecordId:
        """The key under which outbox and ledger keep this record."""
        return RecordId(self.request_id, self.attempt)


class SignedRecord(BaseModel):
    """A record's exact bytes with the signature of the node's key over them."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    body: str
    key_id: KeyId
    signature: str


def sign(record: UsageRecord, key_id: KeyId, key: Ed25519PrivateKey) -> SignedRecord:
    """Seal a record with the node's key."""
    body = record.model_dump_json()
    signature = key.sign(_TAG + body.encode())
    return SignedRecord(body=body, key_id=key_id, signature=base64.b64encode(signature).decode())


def open_record(signed: SignedRecord, key: Ed25519PublicKey) -> UsageRecord:
    """The record inside, once its signature is proven.

    Raises:
        SignatureInvalid: the signature is not this key's over these bytes, or they are no record.
    """
    try:
        key.verify(base64.b64decode(signed.signature, validate=True), _TAG + signed.body.encode())
        return UsageRecord.model_validate_json(signed.body)
    except (InvalidSignature, ValueError) as error:
        raise SignatureInvalid(f"usage record of key {signed.key_id} does not verify") from error
