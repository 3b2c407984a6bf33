from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byoi_console.errors import TicketInvalid
from byoi_console.ledger.tickets import TicketFacts, Tickets

FACTS = TicketFacts(
    request_id="req_1",
    attempt=2,
    node_id="node_1",
    org_id="org_1",
    api_key_id="key_1",
    model="m",
    price_version=3,
    issued_at_ms=1,
)


def test_a_ticket_says_what_was_put_into_it():
    tickets = Tickets(b"s" * 32)
    assert tickets.verify(tickets.issue(FACTS)) == FACTS


def test_another_replica_with_the_same_secret_knows_it():
    assert Tickets(b"s" * 32).verify(Tickets(b"s" * 32).issue(FACTS)) == FACTS


def test_another_console_s_ticket_is_refused():
    with pytest.raises(TicketInvalid):
        Tickets(b"t" * 32).verify(Tickets(b"s" * 32).issue(FACTS))


@given(place=st.integers(0, 10_000), put=st.characters())
def test_a_ticket_with_one_character_changed_is_refused(place, put):
    tickets = Tickets(b"s" * 32)
    ticket = tickets.issue(FACTS)
    place %= len(ticket)
    changed = ticket[:place] + put + ticket[place + 1 :]
    try:
        assert tickets.verify(changed) == FACTS
    except TicketInvalid:
        return
    # The last character of unpadded base64 has bits that mean nothing.
    assert place in {ticket.index(".") - 1, len(ticket) - 1} or changed == ticket


@given(text=st.text())
def test_no_text_is_more_than_invalid(text):
    with pytest.raises(TicketInvalid):
        Tickets(b"s" * 32).verify(text)
