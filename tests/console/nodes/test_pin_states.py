from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from byoi_console.nodes.pin_states import OPEN, heard, is_dedicated

STATES = ("asked", "granted", "refused", "withdrawn", "ended")
WORDS = ("asked", "granted", "refused", "withdrawn")


@given(st.sampled_from(sorted(OPEN)), st.sampled_from(WORDS))
def test_the_node_s_word_holds_while_a_pin_is_open(state, word):
    found = heard(state, word)
    assert (found.state, found.is_news, found.shall_end) == (word, word != state, False)


@given(st.sampled_from(sorted(set(STATES) - OPEN)), st.sampled_from(WORDS))
def test_what_is_over_stays_over_and_a_node_that_keeps_it_is_told(state, word):
    found = heard(state, word)
    assert (found.state, found.is_news, found.shall_end) == (state, False, word in OPEN)


@given(st.lists(st.sampled_from(WORDS), max_size=8))
def test_nothing_but_the_node_s_own_last_word_dedicates_it(words):
    state = "asked"
    for word in words:
        state = heard(state, word).state
    assert is_dedicated(state) == (state == "granted")
    if is_dedicated(state):
        assert words[-1] == "granted"
        assert not {"refused", "withdrawn"} & set(words)
