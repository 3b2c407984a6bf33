from __future__ import annotations

import pytest

from byoi_console.routing.recollection import GIVEN_UP_SECONDS, Recollection


@pytest.fixture
def found():
    return Recollection()


def who(found, model, now=0.0, org_id="org"):
    return list(found.who_had(model, org_id, now))


def test_what_a_node_had_is_known_of_its_organisation_s_nodes(found):
    found.recall("n1", "org", ["a"])
    found.recall("n2", "org", ["a", "b"])
    found.recall("n3", "other", ["a"])
    assert who(found, "a") == ["n1", "n2"]
    assert who(found, "b") == ["n2"]
    assert who(found, "a", org_id="other") == ["n3"]
    assert who(found, "c") == []


def test_what_it_serves_without_is_given_up_after_more_than_a_day(found):
    found.serves("n", "org", ["a", "b"], 0.0)
    found.serves("n", "org", ["a"], 10.0)
    found.serves("n", "org", ["a"], 20.0)  # is no news of b
    assert who(found, "b", 9.0 + GIVEN_UP_SECONDS) == ["n"]
    assert who(found, "b", 10.0 + GIVEN_UP_SECONDS) == []
    assert who(found, "a", 10.0 + GIVEN_UP_SECONDS) == ["n"]


def test_what_is_offered_again_in_time_begins_anew(found):
    found.serves("n", "org", ["a", "b"], 0.0)
    found.serves("n", "org", ["a"], 10.0)
    found.serves("n", "org", ["a", "b"], 20.0)
    assert who(found, "b", 10.0 + GIVEN_UP_SECONDS) == ["n"]


def test_a_node_that_serves_and_has_nothing_loses_all_in_time(found):
    found.recall("n", "org", ["a"])
    found.serves("n", "org", [], 10.0)
    assert who(found, "a", 10.0) == ["n"]
    assert who(found, "a", 10.0 + GIVEN_UP_SECONDS) == []


def test_what_a_tariff_of_the_day_keeps_back_is_not_given_up():
    assert GIVEN_UP_SECONDS > 24 * 3600


def test_what_is_served_without_between_rests_adds_up(found):
    found.serves("n", "org", ["a", "b"], 0.0)
    now = 0.0
    for _ in range(10):
        found.serves("n", "org", ["a"], now)
        now += GIVEN_UP_SECONDS / 10
        assert who(found, "b", now - 1.0) == ["n"]
        found.rests("n", now)
        assert who(found, "a", now) == ["n"]
        now += 7.0  # of rest count for nothing
    assert who(found, "b", now) == []


def test_rest_is_no_sign_that_it_has_a_model_no_more(found):
    found.serves("n", "org", ["a", "b"], 0.0)
    found.serves("n", "org", ["a"], 10.0)
    found.rests("n", 20.0)
    assert who(found, "b", 20.0 + GIVEN_UP_SECONDS) == ["n"]


@pytest.mark.parametrize("comes", ["rests", "serves"])
def test_what_was_given_up_stays_so_until_it_is_offered(found, comes):
    found.serves("n", "org", ["a", "b"], 0.0)
    found.serves("n", "org", ["a"], 10.0)
    later = 10.0 + GIVEN_UP_SECONDS
    if comes == "rests":
        found.rests("n", later)
    else:
        found.serves("n", "org", ["a"], later)
    assert who(found, "b", later) == []
    found.serves("n", "org", ["a", "b"], later + 1)
    assert who(found, "b", later + 1) == ["n"]


def test_of_a_node_that_was_never_here_nothing_is_known(found):
    found.rests("n", 0.0)
    found.forget("n")
    assert who(found, "a") == []


def test_a_node_that_has_left_for_good_is_forgotten(found):
    found.recall("n", "org", ["a"])
    found.forget("n")
    assert who(found, "a") == []


def test_a_node_that_names_ever_more_models_is_remembered_by_the_latest(found):
    found.recall("n", "org", ["first"])
    found.recall("n", "org", [f"m{number}" for number in range(999)])
    assert who(found, "first") == ["n"]
    found.recall("n", "org", ["one more"])
    assert who(found, "first") == []
    assert who(found, "m0") == ["n"]
