from __future__ import annotations

from byoi_agent.control.guesses import MOST_WRONG, WINDOW_SECONDS, Guesses


def test_some_may_be_wrong_in_a_minute_and_no_more():
    guesses = Guesses()
    assert not any(guesses.wrong(1.0) for _ in range(MOST_WRONG))
    assert not guesses.is_first_too_many
    assert guesses.wrong(2.0)


def test_a_minute_later_they_are_forgotten():
    guesses = Guesses()
    for _ in range(MOST_WRONG * 3):
        guesses.wrong(1.0)
    assert not guesses.wrong(1.0 + WINDOW_SECONDS)


def test_the_owner_is_told_once_of_a_series():
    guesses = Guesses()
    told = 0
    for _ in range(MOST_WRONG * 5):
        guesses.wrong(1.0)
        told += guesses.is_first_too_many
    assert told == 1
