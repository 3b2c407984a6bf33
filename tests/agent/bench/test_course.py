from __future__ import annotations

import pytest

from byoi_agent.bench.course import PATIENCE, Course
from byoi_agent.bench.figures import Answer


def answer(began, ended, failure=None, tokens=10):
    step = (ended - began) / tokens
    pieces = tuple(began + step * (number + 1) for number in range(tokens))
    return Answer(began, ended, () if failure else pieces, 100, 0, tokens, failure)


def no_energy(_begin, _end):
    return None


def test_each_clients_first_answer_is_its_warm_up():
    course = Course(2, seconds=10.0, began=0.0)
    assert course.answered(0, answer(0.0, 1.0))
    assert course.answered(0, answer(1.0, 2.0))
    assert course.window == (0.0, 0.0)
    assert course.answered(1, answer(0.0, 3.0))
    assert course.answered(0, answer(2.0, 4.0))
    course.end(13.0)
    assert course.window == (3.0, 13.0)
    assert course.level(no_energy).answers == 1


def test_it_ends_once_both_time_and_answers_are_enough():
    course = Course(1, seconds=3.0, began=0.0)
    goes_on = [course.answered(0, answer(at, at + 1.0)) for at in range(4)]
    assert goes_on == [True, True, True, False]
    assert course.window == (1.0, 4.0)
    told = course.level(no_energy)
    assert (told.answers, told.tokens_per_second) == (3, pytest.approx(10.0))


def test_time_alone_is_not_enough_while_fewer_answers_came_than_clients_ask():
    course = Course(4, seconds=1.0, began=0.0)
    for client in range(4):
        assert course.answered(client, answer(0.0, 2.0))
    for client in range(3):
        assert course.answered(client, answer(2.0, 4.0))
    assert not course.answered(3, answer(2.0, 4.0))
    assert course.level(no_energy).answers == 4


def test_nothing_counts_after_the_end():
    course = Course(1, seconds=1.0, began=0.0)
    course.answered(0, answer(0.0, 1.0))
    course.end(5.0)
    course.end(9.0)
    assert not course.answered(0, answer(5.0, 6.0))
    assert course.window == (1.0, 5.0)
    assert course.level(no_energy).answers == 0


def test_what_was_cut_counts_with_what_had_come():
    course = Course(1, seconds=3.0, began=0.0)
    for at in range(4):
        course.answered(0, answer(at, at + 1.0))
    course.cut_off(Answer(3.5, 4.5, (3.9, 4.2), failure="no answer in time"))
    assert course.level(no_energy).tokens_per_second == pytest.approx(31 / 3)


def test_a_level_that_only_fails_is_given_up_and_says_of_what():
    course = Course(2, seconds=60.0, began=0.0)
    asked = 0
    while course.answered(asked % 2, answer(asked, asked + 1.0, "HTTP 500")):
        asked += 1
    assert asked < 10
    told = course.level(no_energy)
    assert told.tokens_per_second is None
    assert told.failures == {"HTTP 500": asked + 1}


def test_a_few_failures_among_many_answers_end_nothing():
    course = Course(1, seconds=20.0, began=0.0)
    for at in range(15):
        assert course.answered(0, answer(at, at + 1.0, "x" if at % 3 == 0 else None))


def test_energy_is_that_of_the_window():
    course = Course(1, seconds=3.0, began=0.0)
    for at in range(4):
        course.answered(0, answer(at, at + 1.0))
    assert course.level(lambda begin, end: 100.0 * (end - begin)).joules == pytest.approx(300.0)


def test_a_level_has_an_end_whatever_comes():
    assert Course(8, seconds=10.0, began=5.0).latest == 5.0 + PATIENCE * 10.0
