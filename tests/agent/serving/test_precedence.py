from __future__ import annotations

import pytest

from byoi_agent.serving.precedence import QUIET_SECONDS, Guest, Holds, give_way


def guests(words):
    """`s`ilent, `t`alking, `l`eaving; the first had its turn first."""
    return [Guest(place, word == "t", word == "l") for place, word in enumerate(words)]


@pytest.mark.parametrize(
    ("there", "wanted", "is_pressing", "who"),
    [
        ("", 1, True, []),
        ("tt", 1, False, []),
        ("tt", 1, True, [1]),
        ("tt", 3, True, [1, 0]),
        ("tst", 1, True, [1]),
        ("tsts", 2, False, [3, 1]),
        ("tsts", 3, True, [3, 1, 2]),
        ("ltt", 1, True, []),
        ("ltt", 2, True, [2]),
        ("tt", 0, True, []),
        ("l", 0, True, []),
    ],
)
def test_who_gives_way(there, wanted, is_pressing, who):
    assert give_way(guests(there), wanted, is_pressing=is_pressing) == who


def test_what_the_owner_uses_is_held_until_he_was_quiet_for_a_while():
    holds = Holds()
    assert holds.is_empty
    holds.note("one", 0, 8, 0.0)
    assert holds.is_empty
    for count in (1, 3, 1):
        holds.note("one", count, 8, 0.0)
    assert holds.at(1000.0) == {"one": 3}
    holds.note("one", 0, 8, 1000.0)
    assert holds.at(1000.0 + QUIET_SECONDS - 1) == {"one": 3}
    assert holds.at(1000.0 + QUIET_SECONDS) == {}
    assert holds.is_empty


def test_the_quiet_counts_from_the_last_request_however_often_one_looks():
    holds = Holds()
    holds.note("one", 1, 4, 0.0)
    for now in range(1, 100):
        holds.note("one", 0, 4, float(now))
    assert holds.at(1.0 + QUIET_SECONDS) == {}


def test_a_new_spell_does_not_remember_how_many_were_asked_at_once_before():
    holds = Holds()
    holds.note("one", 4, 8, 0.0)
    holds.note("one", 0, 8, 1.0)
    holds.note("one", 1, 8, 2.0 + QUIET_SECONDS)
    holds.note("other", 1, 8, 2.0 + QUIET_SECONDS)
    assert holds.at(2.0 + QUIET_SECONDS) == {"one": 1, "other": 1}


@pytest.mark.parametrize(("slots", "kept"), [(0, 1), (1, 1), (4, 2), (5, 3), (64, 9)])
def test_of_what_the_owner_does_not_use_now_half_is_left_to_guests(slots, kept):
    holds = Holds()
    holds.note("one", 9, slots, 0.0)
    assert holds.at(0.0) == {"one": 9}
    holds.note("one", 0, slots, 1.0)
    assert holds.at(1.0) == {"one": kept}
