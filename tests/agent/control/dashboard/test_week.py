from __future__ import annotations

from datetime import time

import pytest

from byoi_agent.config.availability import Window
from byoi_agent.control.dashboard.week import LEFT, days_in_words, in_words, week_of


@pytest.mark.parametrize(
    ("days", "words"),
    [
        (("mon", "tue", "wed", "thu", "fri", "sat", "sun"), "every day"),
        (("mon", "tue", "wed", "thu", "fri"), "Monday to Friday"),
        (("sat", "sun"), "Saturday, Sunday"),
        (("sun", "mon", "tue", "wed"), "Monday to Wednesday, Sunday"),
        (("fri",), "Friday"),
    ],
)
def test_days_are_told_as_people_say_them(days, words):
    assert days_in_words(days) == words


@pytest.mark.parametrize(
    ("since", "until", "words"),
    [
        (time(8), time(17, 30), "every day, 08:00 to 17:30"),
        (time(22), time(6), "every day, 22:00 to 06:00 of the next day"),
        (time(0), time(0), "every day, the whole day"),
        (time(5), time(5), "every day, 05:00 to 05:00 of the next day"),
    ],
)
def test_a_window_is_told_with_the_day_on_which_it_ends(since, until, words):
    assert in_words(Window(since=since, until=until)) == words


def test_a_window_over_midnight_stands_on_two_days_and_sunday_s_goes_on_on_monday():
    week = week_of([Window(days=("sun",), since=time(22), until=time(6))], [], today=6)
    evening, morning = week.bars
    assert (evening.x, evening.width) == (LEFT + 22 * 24, 48)
    assert (morning.x, morning.width) == (LEFT, 6 * 24)
    assert morning.y < evening.y
    assert [is_today for _, _, is_today in week.grounds] == [False] * 6 + [True]


def test_a_window_that_ends_at_midnight_leaves_the_next_day_alone():
    week = week_of([], [Window(days=("mon",), since=time(18), until=time(0))], today=0)
    assert [(bar.width, bar.kind) for bar in week.bars] == [(144, "quiet")]
