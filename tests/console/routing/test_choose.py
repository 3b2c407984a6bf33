from __future__ import annotations

import sys
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byoi_console.routing import choose as module
from byoi_console.routing.choose import Candidate, near_matches
from byoi_wire.offers import Measured, ModelOffer

OFFER = ModelOffer(id="m", engine="llamacpp", routes=("/v1/chat/completions",))


def measured(together, alone=50.0):
    return Measured(
        at_ms=1,
        engine="e",
        first_token_ms=1,
        decode_tokens_per_second=alone,
        knee_concurrency=4,
        knee_tokens_per_second=together,
    )


def node(name, in_flight=0, slots=4, queue=0, connected=True, **offer):
    model = OFFER.model_copy(update=offer)
    return Candidate(name, model, slots, queue, in_flight, connected)


def choose(nodes, tried=frozenset(), spread=0):
    return tuple(each.node_id for each in module.choose(nodes, tried, spread))


def test_the_least_busy_comes_first_in_shares_of_its_slots():
    nodes = [node("half", 2, slots=4), node("third", 3, slots=9), node("idle", 0, slots=1)]
    assert choose(nodes) == ("idle", "third", "half")


def test_what_was_tried_is_not_tried_again():
    assert choose([node("a"), node("b")], frozenset({"a"})) == ("b",)


def test_a_node_without_a_link_is_no_candidate():
    assert choose([node("a", connected=False)]) == ()


def test_a_full_node_is_no_candidate_but_its_queue_counts_as_room():
    full, queueing = node("full", 4), node("queueing", 4, queue=1)
    assert choose([full, queueing]) == ("queueing",)


def test_a_node_that_only_queues_comes_last():
    assert choose([node("queue", 0, slots=0, queue=2), node("busy", 3)]) == ("busy", "queue")


def test_equals_take_turns():
    nodes = [node("a"), node("b"), node("c")]
    assert [choose(nodes, spread=turn)[0] for turn in range(4)] == ["a", "b", "c", "a"]


def test_where_it_is_loaded_comes_first_however_busy_while_nobody_knows_how_long_that_takes():
    nodes = [node("cold", is_loaded=False, load_seconds=0.1), node("busy", 4, queue=1)]
    assert choose(nodes) == ("busy", "cold")
    full = [node("cold", is_loaded=False, queue=1), node("full", 4)]
    assert choose(full) == ("cold",)


def test_a_queue_that_takes_longer_than_a_load_comes_after_it():
    # Five answers of 256 tokens have to end first, at 64 tokens/s: that takes 20 seconds.
    def order(load_seconds, in_flight=8):
        busy = node("busy", in_flight, slots=4, queue=9, measured=measured(64))
        return choose([busy, node("cold", is_loaded=False, load_seconds=load_seconds)])

    assert order(19) == ("cold", "busy")
    assert order(20) == ("busy", "cold")
    assert order(1, in_flight=3) == ("busy", "cold")
    assert order(None) == ("busy", "cold")


def test_of_unloaded_ones_the_first_to_be_ready_and_unknown_ones_are_guessed():
    nodes = [
        node("unknown", is_loaded=False),
        node("slow", is_loaded=False, load_seconds=300),
        node("fast", 3, is_loaded=False, load_seconds=5),
        node("never", is_loaded=False, load_seconds=sys.float_info.max),
    ]
    assert choose(nodes) == ("fast", "unknown", "slow", "never")


def test_twice_as_fast_takes_twice_the_load():
    fast, slow = measured(200), measured(100)
    given = {"fast": 0, "slow": 0}
    for _ in range(12):
        nodes = [node(n, given[n], 8, measured=m) for n, m in (("fast", fast), ("slow", slow))]
        given[choose(nodes)[0]] += 1
    assert given == {"fast": 8, "slow": 4}


def test_one_that_was_never_measured_counts_as_a_middling_one():
    nodes = [
        node("fast", 4, 8, measured=measured(400)),
        node("middling", 3, 8, measured=measured(100)),
        node("unknown", 2, 8),
    ]
    assert choose(nodes) == ("fast", "unknown", "middling")


def test_of_idle_ones_the_fastest_answers_and_small_differences_do_not_count():
    nodes = [
        node("b", measured=measured(100, 101)),
        node("a", measured=measured(100, 99)),
        node("fast", measured=measured(100, 300)),
        node("unknown"),
    ]
    assert [choose(nodes, spread=turn)[0] for turn in range(3)] == ["fast"] * 3
    assert {choose(nodes, spread=turn)[1] for turn in range(4)} == {"a", "b", "unknown"}


@pytest.mark.parametrize("boast", [0.0, sys.float_info.max])
def test_what_a_node_says_of_itself_moves_the_load_only_so_far(boast):
    honest, liar = measured(100), measured(boast, boast)
    given = {"honest": 0, "liar": 0}
    for _ in range(68):
        pair = (("honest", honest), ("liar", liar))
        nodes = [node(n, given[n], 100, measured=m) for n, m in pair]
        given[choose(nodes)[0]] += 1
    assert given["honest"] >= 4
    assert given["liar"] >= 1


def test_adapters_are_counted_with_their_base():
    assert node("n").group == "m"
    assert node("n", id="pirate", base="m").group == "m"


def test_an_owner_who_comes_back_again_and_again_is_asked_after_equals():
    steady, restless = node("steady"), replace(node("restless"), restless=0.25)
    assert {choose([restless, steady], spread=turn) for turn in range(4)} == {
        ("steady", "restless")
    }


def test_a_restless_node_takes_what_would_make_the_others_fuller():
    restless = replace(node("restless"), restless=0.5)
    assert choose([restless, node("busy", 3)]) == ("restless", "busy")
    assert choose([restless, node("busy", 1)]) == ("busy", "restless")
    assert choose([replace(restless, restless=1.0), node("full", 4)]) == ("restless",)


def test_where_it_is_loaded_comes_first_even_if_its_owner_is_restless():
    cold = node("cold", is_loaded=False, load_seconds=1)
    assert choose([cold, replace(node("restless"), restless=1.0)]) == ("restless", "cold")


speeds = st.floats(0, sys.float_info.max, allow_nan=False)
nodes_strategy = st.lists(
    st.builds(
        lambda *args, **offer: node(*args, **offer),
        st.text(min_size=1, max_size=3),
        st.integers(0, 9),
        st.integers(0, 4) | st.just(2**53),
        st.integers(0, 4),
        st.booleans(),
        is_loaded=st.booleans(),
        load_seconds=st.none() | speeds,
        measured=st.none() | st.builds(measured, speeds, speeds),
    ),
    unique_by=lambda each: each.node_id,
    max_size=8,
)


@given(nodes=nodes_strategy, spread=st.integers(), tried=st.frozensets(st.text(max_size=3)))
def test_all_usable_nodes_are_named_once_loaded_ones_with_a_free_slot_first(nodes, spread, tried):
    order = choose(nodes, tried, spread)
    by_name = {each.node_id: each for each in nodes}
    usable = {n for n, c in by_name.items() if c.connected and c.has_room and n not in tried}
    assert set(order) == usable
    assert len(order) == len(usable)
    at_once = [n for n in order if by_name[n].in_flight < by_name[n].slots]
    waits = [not by_name[n].model.is_loaded for n in at_once]
    assert waits == sorted(waits)


@given(nodes=nodes_strategy, spread=st.integers())
def test_without_measurements_loaded_ones_are_in_order_of_load(nodes, spread):
    plain = [node(n.node_id, n.in_flight, n.slots, n.queue) for n in nodes]
    by_name = {each.node_id: each for each in plain}
    order = [by_name[name] for name in choose(plain, spread=spread)]
    loads = [each.in_flight / each.slots if each.slots else float("inf") for each in order]
    assert loads == sorted(loads)


shares = st.floats(0, 1)


@settings(max_examples=40)
@given(nodes=nodes_strategy, spread=st.integers(), told=st.lists(shares, min_size=8, max_size=8))
def test_restlessness_changes_the_order_and_never_who_is_asked(nodes, spread, told):
    restless = [replace(each, restless=one) for each, one in zip(nodes, told, strict=False)]
    assert sorted(choose(restless, spread=spread)) == sorted(choose(nodes, spread=spread))


@settings(max_examples=40)
@given(nodes=nodes_strategy, spread=st.integers(), share=shares, which=st.integers(0, 7))
def test_restlessness_never_brings_a_node_forward(nodes, spread, share, which):
    before = choose(nodes, spread=spread)
    for one in before[which : which + 1]:
        told = [replace(n, restless=share) if n.node_id == one else n for n in nodes]
        assert choose(told, spread=spread).index(one) >= before.index(one)


def test_near_matches_ignore_case_and_find_the_family():
    known = ["SmolLM2-135M-Instruct", "Qwen3-8B", "Llama-3.2-1B"]
    assert near_matches("smollm2-135m", known) == ("SmolLM2-135M-Instruct",)
    assert near_matches("gpt-4o", known) == ()
