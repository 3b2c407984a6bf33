"""What the ledger is told: the console's own count of an attempt, and the node's signed one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from byoi_wire.ids import RecordId
from byoi_wire.usage import CountedBy, Outcome, SignedRecord, Usage, UsageRecord

if TYPE_CHECKING:
    from byoi_wire.ids import ModelId, NodeId, OrgId, RequestId


@dataclass(frozen=True)
class Posting:
    """What the console saw of one attempt, told once it is over (answered, cut or lost).

    `usage` is what went through to the client: the engine's own figures where they were seen
    (`counted_by` "engine"), else the number of content events ("events"). `delivered_events` are
    content events only. `request_bytes` is the length of the body sent to the node, where known:
    it bounds the prompt tokens that a node can claim.
    """

    request_id: RequestId
    attempt: int
    org_id: OrgId
    api_key_id: str
    node_id: NodeId
    model: ModelId
    route: str
    outcome: Outcome
    status: int
    usage: Usage
    counted_by: CountedBy
    finish_reason: str | None
    error_code: str | None
    started_at_ms: int
    first_token_ms: float | None
    duration_ms: float
    delivered_events: int
    delivered_bytes: int
    request_bytes: int | None = None

    @property
    def record_id(self) -> RecordId:
        """The key of this attempt's row."""
        return RecordId(self.request_id, self.attempt)


@dataclass(frozen=True)
class Claim:
    """A node's record, its signature already proven, with the bytes that prove it."""

    record: UsageRecord
    signed: SignedRecord


class Count(BaseModel):
    """One side's count of an attempt, as it is kept in the row."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    usage: Usage
    counted_by: CountedBy
    outcome: Outcome
    delivered_events: int = 0
    delivered_bytes: int = 0
    request_bytes: int | None = None


def count_of_posting(posting: Posting) -> Count:
    """The console's side of a row."""
    return Count(
        usage=posting.usage,
        counted_by=posting.counted_by,
        outcome=posting.outcome,
        delivered_events=posting.delivered_events,
        delivered_bytes=posting.delivered_bytes,
        request_bytes=posting.request_bytes,
    )


def count_of_record(record: UsageRecord) -> Count:
    """The node's side of a row."""
    return Count(usage=record.usage, counted_by=record.counted_by, outcome=record.outcome)
