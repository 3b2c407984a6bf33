"""Tickets: the console's proof, held by the node, that it gave out an attempt."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from byoi_console.errors import TicketInvalid
from byoi_wire.ids import ModelId, NodeId, OrgId, RecordId, RequestId

_TAG: Final = b"byoi-ticket-v1\x00"
_NOT_OURS: Final = "The ticket is not one of this console's."


class TicketFacts(BaseModel):
    """What was assigned to whom, on whose account, and at which prices."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    request_id: RequestId
    attempt: int = Field(ge=1)
    node_id: NodeId
    org_id: OrgId
    api_key_id: str
    model: ModelId
    price_version: int
    issued_at_ms: int

    @property
    def record_id(self) -> RecordId:
        """The key of the row that this ticket allows."""
        return RecordId(self.request_id, self.attempt)


class Tickets:
    """Issues and recognises tickets; every replica that has the secret knows them all.

    A ticket is `base64url(facts).base64url(HMAC-SHA256)` and never expires: a node that was away
    for a month still gets its records booked.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def issue(self, facts: TicketFacts) -> str:
        """The ticket that goes to the node with the request."""
        body = facts.model_dump_json().encode()
        return f"{_encode(body)}.{_encode(self._mac(body))}"

    def verify(self, ticket: str) -> TicketFacts:
        """What the ticket says.

        Raises:
            TicketInvalid: it is none of ours.
        """
        encoded, _, mac = ticket.partition(".")
        try:
            body = _decode(encoded)
            is_ours = hmac.compare_digest(self._mac(body), _decode(mac))
        except ValueError as error:
            raise TicketInvalid(_NOT_OURS) from error
        if not is_ours:
            raise TicketInvalid(_NOT_OURS)
        return TicketFacts.model_validate_json(body)

    def _mac(self, body: bytes) -> bytes:
        return hmac.digest(self._secret, _TAG + body, hashlib.sha256)


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    padded = text.encode("ascii") + b"=" * (-len(text) % 4)
    return base64.b64decode(padded, altchars=b"-_", validate=True)
