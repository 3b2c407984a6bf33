from __future__ import annotations

from byoi_agent.engine.residency.memory import excess, fits, minus, most, plus

GIB = 1024**3


def test_amounts_are_added_name_by_name():
    assert plus({"memory": 1}, {"GPU 0": 2, "memory": 3}) == {"memory": 4, "GPU 0": 2}
    assert plus() == {}
    assert minus({"memory": 1}, {"host memory": 2}) == {"memory": 1, "host memory": -2}


def test_of_two_amounts_the_larger_is_taken_name_by_name():
    assert most({"GPU 0": 9, "memory": 1}, {"GPU 0": 2, "host memory": 3}) == {
        "GPU 0": 9,
        "memory": 1,
        "host memory": 3,
    }


def test_memory_that_is_not_there_holds_nothing():
    assert fits({"memory": 3, "GPU 1": 0}, {"memory": 3})
    assert not fits({"GPU 1": 1}, {"memory": 3})


def test_what_is_missing_is_said_in_words():
    assert excess({"memory": GIB}, {"memory": GIB}) is None
    told = excess({"memory": GIB, "GPU 0": 3 * GIB}, {"memory": 2 * GIB, "GPU 0": 2 * GIB})
    assert told == "3.0 GiB of GPU 0, of which there is 2.0 GiB"


def test_what_others_hold_is_said_where_it_is_the_reason():
    budget = {"GPU 0": 4 * GIB}
    assert excess({"GPU 0": 3 * GIB}, budget, {"GPU 0": GIB}) is None
    assert excess({"GPU 0": 5 * GIB}, budget, {"GPU 0": GIB}) == (
        "5.0 GiB of GPU 0, of which there is 4.0 GiB"
    )
    told = excess({"GPU 0": 3 * GIB}, budget, {"GPU 0": 9 * GIB})
    assert told == "3.0 GiB of GPU 0, of which other programs leave 0 B"
