from __future__ import annotations

import pytest

from byoi_agent.planning.fields import Fields, UnfitModel


def test_the_first_name_that_is_given_counts():
    fields = Fields({"a": None, "b": 3})
    assert fields.count("a", "b") == 3
    assert fields.has("a", "b")
    assert not fields.has("a")


def test_a_family_s_defaults_stand_in_for_what_is_left_out_or_null():
    fields = Fields({"a": None}, {"a": 5, "b": 6})
    assert (fields.count("a"), fields.count("b"), fields.count("c", default=7)) == (5, 6, 7)


@pytest.mark.parametrize("value", [-1, 10**8 + 1, 1.5, "3", True, [1], {}])
def test_what_is_no_size_is_refused_by_name(value):
    with pytest.raises(UnfitModel, match="'hidden_size'"):
        Fields({"hidden_size": value}).count("hidden_size")


def test_a_value_is_shown_shortly():
    with pytest.raises(UnfitModel) as refused:
        Fields({"a": "x" * 1000}).count("a")
    assert len(str(refused.value)) < 100


def test_what_must_be_there_is_named():
    with pytest.raises(UnfitModel, match="no 'vocab_size'"):
        Fields({}).count("vocab_size")
    with pytest.raises(UnfitModel, match="'a' is 0"):
        Fields({"a": 0}).size("a")
    assert Fields({"a": 2}).size("a") == 2


def test_of_a_list_for_each_layer_the_largest_counts():
    assert Fields({"a": [1, 8, 0]}).maximum("a") == 8
    assert Fields({"a": 4}).maximum("a") == 4
    assert Fields({"a": []}).maximum("a", default=3) == 3
    with pytest.raises(UnfitModel, match="'a'"):
        Fields({"a": [1, "x"]}).maximum("a")


def test_other_kinds_of_value_fall_back_to_their_default():
    fields = Fields({"flag": True, "word": "gelu", "list": [1], "inner": {"a": 1}, "odd": 7})
    assert fields.flag("flag")
    assert not fields.flag("odd")
    assert fields.text("word") == "gelu"
    assert fields.text("odd", default="x") == "x"
    assert fields.items("list") == [1]
    assert fields.items("odd") == []
    assert fields.inner("inner").count("a") == 1
    assert fields.inner("odd", {"a": 2}).count("a") == 2
    assert fields.is_exactly("odd", 7)
    assert not fields.is_exactly("flag2", 7)
