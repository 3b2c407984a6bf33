from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from byoi_console.routing.choose import Candidate, choose, near_matches
from byoi_wire.offers import ModelOffer

OFFER = ModelOffer(id="m", engine="llamacpp", routes=("/v1/chat/completions",))


def node(name, in_flight=0, slots=4, queue=0, connected=True):
    return Candidate(name, OFFER, slots, queue, in_flight, connected)


def test_the_least_busy_comes_first_in_shares_of_its_slots():
    nodes = [node("half", 2, slots=4), node("third", 3, slots=9), node("idle", 0, slots=1)]
    assert choose(nodes, frozenset(), 0) == ("idle", "third", "half")


def test_what_was_tried_is_not_tried_again():
    assert choose([node("a"), node("b")], frozenset({"a"}), 0) == ("b",)


def test_a_node_without_a_link_is_no_candidate():
    assert choose([node("a", connected=False)], frozenset(), 0) == ()


def test_a_full_node_is_no_candidate_but_its_queue_counts_as_room():
    full, queueing = node("full", 4), node("queueing", 4, queue=1)
    assert choose([full, queueing], frozenset(), 0) == ("queueing",)


def test_a_node_that_only_queues_comes_last():
    assert choose([node("queue", 0, slots=0, queue=2), node("busy", 3)], frozenset(), 0) == (
        "busy",
        "queue",
    )


def test_equals_take_turns():
    nodes = [node("a"), node("b"), node("c")]
    assert [choose(nodes, frozenset(), turn)[0] for turn in range(4)] == ["a", "b", "c", "a"]


nodes_strategy = st.lists(
    st.builds(
        node,
        st.text(min_size=1, max_size=3),
        st.integers(0, 9),
        st.integers(0, 4),
        st.integers(0, 4),
        st.booleans(),
    ),
    unique_by=lambda each: each.node_id,
    max_size=8,
)


@given(nodes=nodes_strategy, spread=st.integers(), tried=st.frozensets(st.text(max_size=3)))
def test_all_usable_nodes_are_named_once_in_order_of_load(nodes, spread, tried):
    order = choose(nodes, tried, spread)
    by_name = {each.node_id: each for each in nodes}
    usable = {n for n, c in by_name.items() if c.connected and c.has_room and n not in tried}
    assert set(order) == usable
    assert len(order) == len(usable)
    loads = [
        by_name[n].in_flight / by_name[n].slots if by_name[n].slots else float("inf") for n in order
    ]
    assert loads == sorted(loads)


def test_near_matches_ignore_case_and_find_the_family():
    known = ["SmolLM2-135M-Instruct", "Qwen3-8B", "Llama-3.2-1B"]
    assert near_matches("smollm2-135m", known) == ("SmolLM2-135M-Instruct",)
    assert near_matches("gpt-4o", known) == ()
