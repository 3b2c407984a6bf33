from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byoi_console.ledger.entries import Count
from byoi_console.ledger.policy import (
    PROMPT_SLACK_TOKENS,
    Bill,
    in_flight_tokens,
    settle,
)
from byoi_wire.usage import Usage
from byoi_wire.version import WINDOW_BYTES


def usage(prompt=0, completion=0, cached=0, reasoning=0):
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        cached_tokens=cached,
        reasoning_tokens=reasoning,
    )


def counted(tokens, by="engine", outcome="complete", events=0, size=0, request_bytes=None):
    return Count(
        usage=tokens,
        counted_by=by,
        outcome=outcome,
        delivered_events=events,
        delivered_bytes=size,
        request_bytes=request_bytes,
    )


def cut(events, *, request_bytes=None, outcome="cancelled"):
    return counted(
        usage(0, events), "events", outcome, events, events * 256, request_bytes=request_bytes
    )


def claimed(tokens, by="tokenizer", outcome="cancelled"):
    return Count(usage=tokens, counted_by=by, outcome=outcome)


def test_nothing_known_is_nothing_billed():
    assert settle(None, None) == Bill(usage(), True, False)


def test_a_claim_alone_is_billed_and_marked():
    assert settle(None, claimed(usage(5, 7))) == Bill(usage(5, 7), True, False)


def test_a_count_alone_is_billed():
    assert settle(counted(usage(5, 7)), None) == Bill(usage(5, 7), False, False)


def test_counts_that_agree_are_no_news():
    both = usage(5, 7, 3, 2)
    assert settle(counted(both), claimed(both, "engine", "complete")) == Bill(both, False, False)


def test_an_inflated_claim_changes_nothing_but_the_flag():
    bill = settle(counted(usage(100, 200)), claimed(usage(150, 300), "engine", "complete"))
    assert bill == Bill(usage(100, 200), False, True)


def test_where_both_saw_the_engine_s_figures_the_smaller_is_billed():
    bill = settle(counted(usage(100, 200)), claimed(usage(100, 150), "engine", "complete"))
    assert bill == Bill(usage(100, 150), False, True)


def test_a_node_that_could_not_count_leaves_the_console_s_count():
    bill = settle(cut(12), claimed(usage(), "none", "failed"))
    assert bill == Bill(usage(0, 12), False, False)


def test_a_cut_answer_bills_what_was_really_produced():
    assert settle(cut(12), claimed(usage(40, 15))) == Bill(usage(40, 15), False, False)


def test_a_claim_holds_up_to_what_the_link_can_have_carried_and_no_further():
    seen = cut(10)
    most = 10 + WINDOW_BYTES // 256
    assert settle(seen, claimed(usage(40, most))) == Bill(usage(40, most), False, False)
    assert settle(seen, claimed(usage(40, most + 1))) == Bill(usage(40, 10), False, True)


def test_a_prompt_cannot_have_more_tokens_than_bytes():
    seen = cut(10, request_bytes=1000)
    most = 1000 + PROMPT_SLACK_TOKENS
    assert settle(seen, claimed(usage(most, 10))) == Bill(usage(most, 10), False, False)
    assert settle(seen, claimed(usage(most + 1, 10))) == Bill(usage(0, 10), False, True)


@pytest.mark.parametrize("claim", [None, claimed(usage(10, 3)), claimed(usage(10, 3), "none")])
def test_an_attempt_that_failed_before_it_gave_anything_costs_nothing(claim):
    assert settle(cut(0, outcome="failed"), claim).usage == usage()


def test_a_client_that_left_before_the_first_token_pays_what_was_produced():
    assert settle(cut(0), claimed(usage(10, 3))).usage == usage(10, 3)


def test_small_events_let_more_tokens_be_under_way_but_not_endlessly():
    tiny = counted(usage(0, 100), "events", "cancelled", events=100, size=100)
    assert in_flight_tokens(tiny) == WINDOW_BYTES // 64


tokens = st.builds(usage, *[st.integers(0, 5000)] * 4)
counts = st.none() | st.builds(
    counted,
    tokens,
    st.sampled_from(["engine", "events", "none"]),
    st.sampled_from(["complete", "cancelled", "failed"]),
    st.integers(0, 5000),
    st.integers(0, 10**6),
    st.none() | st.integers(0, 10_000),
)
claims = st.none() | st.builds(
    claimed,
    tokens,
    st.sampled_from(["engine", "tokenizer", "events", "none"]),
    st.sampled_from(["complete", "cancelled", "failed"]),
)


@given(ours=counts, theirs=claims)
def test_no_bill_is_above_both_counts(ours, theirs):
    bill = settle(ours, theirs).usage
    known = [count.usage for count in (ours, theirs) if count]
    for name in ("prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens"):
        assert getattr(bill, name) <= max([getattr(each, name) for each in known], default=0)


@given(ours=counts.filter(bool), theirs=claims)
def test_no_claim_gains_more_than_a_window_of_tokens(ours, theirs):
    gain = settle(ours, theirs).usage.completion_tokens - ours.usage.completion_tokens
    assert gain <= in_flight_tokens(ours)
