from __future__ import annotations

from dataclasses import replace

import pytest

from byoi_console.ledger.entries import Claim, Posting
from byoi_console.ledger.tickets import TicketFacts, Tickets
from byoi_wire.usage import SignedRecord, Usage, UsageRecord


class Attempts:
    """Makes both sides of an attempt as the gateway and an honest node would."""

    def __init__(self, tickets):
        self.tickets = tickets

    def ticket(self, request_id="req_1", attempt=1, **changes):
        facts = TicketFacts(
            request_id=request_id,
            attempt=attempt,
            node_id="node_1",
            org_id="org_1",
            api_key_id="key_1",
            model="m",
            price_version=0,
            issued_at_ms=1_800_000_000_000,
        )
        return self.tickets.issue(facts.model_copy(update=changes))

    def posting(self, request_id="req_1", attempt=1, prompt=10, completion=20, **changes):
        posting = Posting(
            request_id=request_id,
            attempt=attempt,
            org_id="org_1",
            api_key_id="key_1",
            node_id="node_1",
            model="m",
            route="/v1/chat/completions",
            outcome="complete",
            status=200,
            usage=Usage(prompt_tokens=prompt, completion_tokens=completion),
            counted_by="engine",
            finish_reason="stop",
            error_code=None,
            started_at_ms=1_800_000_000_000,
            first_token_ms=12.5,
            duration_ms=100.0,
            delivered_events=completion,
            delivered_bytes=completion * 200,
        )
        return replace(posting, **changes)

    def claim(self, request_id="req_1", attempt=1, prompt=10, completion=20, **changes):
        record = UsageRecord(
            request_id=request_id,
            attempt=attempt,
            ticket=self.ticket(request_id, attempt),
            node_id="node_1",
            model="m",
            route="/v1/chat/completions",
            outcome="complete",
            status=200,
            usage=Usage(prompt_tokens=prompt, completion_tokens=completion),
            counted_by="engine",
            finish_reason="stop",
            started_at_ms=1_700_000_000_000,
            duration_ms=99.0,
        ).model_copy(update=changes)
        signed = SignedRecord(body=record.model_dump_json(), key_id="nkey_1", signature="c2ln")
        return Claim(record, signed)


@pytest.fixture
def tickets():
    return Tickets(b"secret" * 8)


@pytest.fixture
def attempts(tickets):
    return Attempts(tickets)
